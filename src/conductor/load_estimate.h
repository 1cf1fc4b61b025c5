// LoadEstimate: how much every instance has to do now. Two sources see different parts of it: our own bookings (at
// once, but only ours, and only as predicted) and the workers' reports (everything, but up to one period old).
//
// At each report the two are compared, and the difference (other gateways' work, mispredicted work) is kept as a bias
// until the next report: estimate = own bookings now + bias. What both know is thus counted once, and a booking made
// after the report is added to it. Bookings younger than kReportLag at the report cannot be in it yet.
//
// Pure: time is passed in and must not decrease. Thread-compatible.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>

#include "base/time.h"
#include "conductor/bookings.h"
#include "conductor/conductor.h"

namespace mooncake::conductor {

/// From a decision until the worker has queued the request and could report it: two messages on a local network.
inline constexpr Nanos kReportLag = Millis(5);

class LoadEstimate {
 public:
  /// `bookings` must outlive it.
  explicit LoadEstimate(Bookings& bookings) : bookings_(bookings) {}

  void on_stats(const InstanceStats& stats, Instant now);
  /// Forgets the instance's report.
  void forget(InstanceId instance) { biases_.erase(instance); }

  /// Predicted work on a prefill instance: the time until a new prompt would be computed, if it comes after all others.
  [[nodiscard]] Nanos prefill_queue(InstanceId instance, Instant now) const;
  /// The time until a new prompt of `tenant` that takes `predicted` would be computed, if tenants take turns. Whose the
  /// work is that we did not book is not known: it counts in full.
  [[nodiscard]] Nanos prefill_wait(InstanceId instance, const Tenant& tenant, Nanos predicted, Instant now) const;
  /// Prompts that wait or run on a prefill instance.
  [[nodiscard]] std::uint32_t prefill_requests(InstanceId instance) const;
  /// Requests and KVCache tokens that a decode instance runs or is promised.
  [[nodiscard]] DecodeLoad decode(InstanceId instance) const;
  /// Of those, what is not in our bookings: other gateways'.
  [[nodiscard]] DecodeLoad foreign_decode(InstanceId instance) const;

 private:
  struct Bias {
    Instant at{};
    Nanos work{};                // may be negative: we predicted too much
    std::int64_t prompts = 0;    // likewise
    std::uint32_t requests = 0;  // decode: of other gateways
    std::uint64_t kv_tokens = 0;
  };
  [[nodiscard]] Bias bias(InstanceId instance) const;
  [[nodiscard]] Nanos with_bias(InstanceId instance, Nanos own, bool any, Instant now) const;

  Bookings& bookings_;
  absl::flat_hash_map<InstanceId, Bias> biases_;
};

}  // namespace mooncake::conductor
