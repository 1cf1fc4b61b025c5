// Bookings: the work that this Conductor has given out and that is not over yet. A booking is made at the decision, so
// that the next decision sees it before any worker could report it, and is taken back piece by piece as phases end.
//
// Pure: time is passed in and must not decrease. Thread-compatible. Everything is O(bookings on one instance) or
// better, except release_instance, O(all bookings).
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <utility>

#include "base/time.h"
#include "conductor/conductor.h"
#include "conductor/decode_line.h"
#include "conductor/reading.h"
#include "conductor/work_line.h"

namespace mooncake::conductor {

/// Requests in flight through one Conductor. At 200 bytes each 20 MB; far beyond what open connections allow.
inline constexpr std::size_t kBookingsMax = 100'000;

struct Booking {
  RequestNumber request{};
  InstanceId prefill{};
  InstanceId decode{};
  Tenant tenant{};
  Priority priority = Priority::kNormal;
  Nanos prefill_work{};  ///< predicted, without queue and transfer
  Readings readings{};   ///< before the prefill
  std::uint32_t prompt_tokens = 0;
  std::uint64_t kv_tokens = 0;  ///< prompt and longest answer
  Instant expected_join{};      ///< when it would be there for decode
  Nanos tbt_objective{};
};

class Bookings {
 public:
  /// Books all parts. A booking of the same request that is still there is released first.
  void book(const Booking& booking, Instant now);

  void start_prefill(RequestNumber request, Instant now);
  /// Releases prefill and transfer; decode stays. These four ignore unknown requests and parts.
  void end_prefill(RequestNumber request, Instant now);
  /// It runs on its decode instance.
  void join_decode(RequestNumber request, Instant now);
  void release(RequestNumber request, Instant now);
  /// Releases the parts on an instance that is gone; the other parts stay until their phases end.
  void release_instance(InstanceId instance, Instant now);

  /// Predicted prefill work booked on an instance and not done, by time. See WorkLine.
  [[nodiscard]] const WorkLine& prefill_line(InstanceId instance) const;
  /// What a decode instance has been given and has not finished.
  [[nodiscard]] const DecodeLine& decode_line(InstanceId instance) const;
  /// Predicted time until all readings that were booked there are over.
  [[nodiscard]] Nanos backlog(NodeId node, Outlet outlet, Instant now);

  /// The booking, if there is one; until the next change.
  [[nodiscard]] const Booking* find(RequestNumber request) const;
  [[nodiscard]] std::size_t size() const { return bookings_.size(); }
  /// True if no prefill work of another tenant is booked anywhere.
  [[nodiscard]] bool only_tenant(TenantId tenant) const {
    return prompts_.empty() || (prompts_.size() == 1 && prompts_.begin()->first == tenant);
  }

 private:
  struct Parts {
    Booking booking;
    bool prefill = true;
    bool decode = true;
  };
  void drop_prefill(Parts& parts, Instant now);
  void drop_decode(Parts& parts);

  absl::flat_hash_map<RequestNumber, Parts> bookings_;
  absl::flat_hash_map<InstanceId, WorkLine> prefill_;
  absl::flat_hash_map<InstanceId, DecodeLine> decode_;
  absl::flat_hash_map<std::pair<NodeId, Outlet>, WorkLine> outlets_;
  absl::flat_hash_map<TenantId, std::uint32_t> prompts_;  // whose prefill is booked, by tenant; none is 0
};

}  // namespace mooncake::conductor
