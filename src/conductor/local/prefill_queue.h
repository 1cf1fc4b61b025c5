// PrefillQueue: the order in which a prefill worker computes prompts, one at a time (tenants take turns, fair_line.h;
// of a tenant, and so without tenants, first come, first served), and how much predicted work that is, for the gateways
// that place requests by it.
//
// Pure: time is passed in and must not decrease. Thread-compatible. Source: docs/serving.md, workers.
#pragma once

#include <cstdint>
#include <optional>

#include "base/status.h"
#include "base/time.h"
#include "conductor/conductor.h"
#include "conductor/local/fair_line.h"

namespace mooncake::conductor {

/// Prompts that may wait at a worker. At 1 s a prompt the last would start after 17 minutes, beyond every deadline.
inline constexpr std::size_t kPrefillQueueMax = 1024;
/// A gateway that expected less outstanding work than this share of what there is decided on outdated load.
inline constexpr double kOutstandingTolerance = 1.2;
/// Differences below this do not matter: a decision elsewhere costs as much.
inline constexpr Nanos kOutstandingSlack = Millis(100);

class PrefillQueue {
 public:
  explicit PrefillQueue(std::size_t waiting_max = kPrefillQueueMax) : waiting_max_(waiting_max) {}

  /// Queues a prompt that is predicted to take `predicted`. @return kAlreadyExists; kExhausted with as many as may
  /// wait. O(waiting).
  Status push(RequestNumber request, Nanos predicted, const Tenant& tenant = {});

  /// The prompt to compute now, which is running from then on; nothing while one runs or none waits.
  std::optional<RequestNumber> start(Instant now);

  /// Forgets a prompt that waits or runs: done, cancelled or lost. @return false if it was unknown. O(waiting).
  bool remove(RequestNumber request);

  /// Predicted work that waits, and what is left of the running prompt: at least 0 when it takes longer than predicted.
  [[nodiscard]] Nanos outstanding(Instant now) const;

  /// True if a gateway that expects `expected` to be outstanding (the new prompt of `predicted` included) is wrong by
  /// more than the tolerance: this worker should refuse, so that the gateway decides again with fresh load.
  [[nodiscard]] bool contradicts(Nanos expected, Nanos predicted, Instant now) const;

  [[nodiscard]] std::uint32_t queued() const { return static_cast<std::uint32_t>(waiting_.size()); }
  [[nodiscard]] std::uint32_t running() const { return running_ ? 1 : 0; }
  /// The one that start() has returned and remove() has not taken.
  [[nodiscard]] std::optional<RequestNumber> running_request() const;
  /// The request to come after the running one, as things stand: a tenant that comes may still be before it.
  [[nodiscard]] std::optional<RequestNumber> next() const;

 private:
  struct Running {
    FairLine::Piece prompt;
    Instant started{};
  };

  std::size_t waiting_max_;
  FairLine waiting_;
  std::optional<Running> running_;
};

}  // namespace mooncake::conductor
