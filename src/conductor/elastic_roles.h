// ElasticRoles: when instances should change their role, because one pool breaks its objective and the other does not.
//
// Of every request that arrives it is predicted whether it would break the objective for the TTFT, which is the prefill
// pool's fault, and the one for the TBT, which is the decode pool's. Counted over the last kSmoothing, the two shares
// say whom more instances would help. If they differ by kMargin, the pool that breaks less gives some: kShareMax of its
// instances times the difference, at least one. Then nothing changes for kDwell after the last of them has drained:
// what the change brought has to be seen first, and what was counted before it has faded by then. A cluster in which
// nobody misses an objective stays as it is, however lopsided, and so does one in which both pools are overrun alike.
//
// Utilisation would be the simpler measure, and a worse one: prefill keeps an objective of 30 s for prompts of one
// second at a utilisation of 0.98, while a decode batch breaks its objective in bursts at 0.6.
//
// Pure: time is passed in and must not decrease. Thread-compatible. Source: docs/conductor.md, elastic roles.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"
#include "conductor/conductor.h"

namespace mooncake::conductor {

/// Long against a prompt, short against the minutes in which a workload changes.
inline constexpr Nanos kSmoothing = Seconds(30);
/// Two time constants: 86 % of what is counted then is from after a change.
inline constexpr Nanos kDwell = 2 * kSmoothing;
/// Of the requests. Below it, moving an instance costs more than it brings.
inline constexpr double kMargin = 0.05;
/// So that a wrong figure cannot turn a whole pool over at once.
inline constexpr double kShareMax = 0.125;
/// Requests without which a share says nothing.
inline constexpr double kJudgedMin = 20;

/// Instances that take requests, and those that take no new ones.
struct PoolSizes {
  std::uint32_t prefill = 0;
  std::uint32_t decode = 0;
  std::uint32_t draining = 0;  ///< of either role; while there are any, nothing is changed
};

struct RoleChange {
  Role giver = Role::kPrefill;
  std::uint32_t instances = 1;
};

class ElasticRoles {
 public:
  /// A request has arrived that would, or would not, break its objectives as things are.
  void judged(bool breaks_ttft, bool breaks_tbt);

  /// To be called every few seconds; after a gap of more than kDwell it begins anew. @return which role should give
  /// instances to the other one, if any should.
  std::optional<RoleChange> tick(const PoolSizes& sizes, Instant now);

 private:
  void fade(Instant now);

  double judged_ = 0;
  double broken_ttft_ = 0;
  double broken_tbt_ = 0;
  std::optional<Instant> last_tick_;
  Instant settled_{};  // no change before
};

}  // namespace mooncake::conductor
