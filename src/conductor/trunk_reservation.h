// TrunkReservation: how much of its objectives a request of each priority may use, so that under overload low is
// refused first and high last.
//
//   low      0.70 of TTFT and TBT, always
//   normal   all of both; 0.85 while requests of high priority come
//   high     all of both, and without the margin by which predictions have been short lately
//
// In telephone networks a call of a lower class is put through only if it leaves some trunks of a route free; a few are
// enough to protect the class above nearly completely. Trunks are seconds of predicted TTFT and milliseconds of
// predicted TBT here. With an objective of 30 s, normal requests stop when the queue is 25.5 s long: it is never empty,
// so nothing is lost to prefill, and a request of high priority finds up to 4.5 s of room, more than its own prompt
// takes. Decode batches stay smaller by as much, which does cost throughput; so without requests of high priority
// nothing is kept free for them. Low always stays below normal: what runs in the background must not have filled the
// queue when normal requests come. High keeps no margin, because it is better served a little late than refused, and
// the room that was kept makes that rare.
//
// Pure: time is passed in and must not decrease. Thread-compatible.
// Source: Kelly, Loss Networks, Annals of Applied Probability 1 (1991), on trunk reservation.
#pragma once

#include <optional>

#include "base/time.h"
#include "conductor/priority.h"

namespace mooncake::conductor {

inline constexpr double kLowShare = 0.70;
inline constexpr double kNormalShareBesideHigh = 0.85;
/// After a request of high priority more are expected for this long: twice the widest TTFT objective of the paper, in
/// which a queue that was let grow has drained.
inline constexpr Nanos kHighExpected = Seconds(60);

class TrunkReservation {
 public:
  struct Allowance {
    double share = 1;          ///< of the objectives
    bool keeps_margin = true;  ///< predictions are held against them with their margin
  };

  /// A request has come, admitted or not.
  void asked(Priority priority, Instant now) {
    if (priority == Priority::kHigh) high_asked_ = now;
  }
  /// What one of `priority` may use now.
  [[nodiscard]] Allowance allowance(Priority priority, Instant now) const;

 private:
  std::optional<Instant> high_asked_;  // last
};

}  // namespace mooncake::conductor
