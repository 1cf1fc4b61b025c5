// TtftMargin: how far predicted TTFTs have been off lately, so that a promise of an objective is kept by nearly all who
// get it and not by half of them. The rule is the one that sets TCP's retransmission timer (RFC 6298): smoothed error
// plus four times its smoothed deviation. Errors are counted in shares of the prediction, for a queue's error grows
// with the queue, plus a tenth of the objective, so that a few milliseconds of overhead on a short prompt say little
// about a long one. Without news the estimate fades into a first guess: if it kept everybody out, nobody would come who
// could correct it.
//
// Pure: time is passed in. Thread-compatible.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <optional>

#include "base/time.h"
#include "conductor/conductor.h"

namespace mooncake::conductor {

/// The error expected before anything has been observed: a profile is a guess about somebody else's machine.
inline constexpr double kMarginFirstGuess = 0.2;
/// The margin is never more than this share of the objective, so that requests go on being admitted and observed.
inline constexpr double kMarginMax = 0.5;
/// After this long without an observation the estimate counts half: a crowded machine is often quiet again by then.
inline constexpr Nanos kMarginHalfLife = Seconds(10);

class TtftMargin {
 public:
  /// What a request would be, or was, accepted under.
  struct Promise {
    Nanos predicted{};
    Nanos objective{};
  };

  /// A request was accepted at `now`.
  void expect(RequestNumber request, const Promise& promise, Instant now) { expected_[request] = {promise, now}; }
  /// Its first token is there. Unknown requests are ignored.
  void first_token(RequestNumber request, Instant now);
  /// It ended before: says nothing.
  void drop(RequestNumber request) { expected_.erase(request); }

  /// What to add to the prediction before it is held against the objective; at least 0.
  [[nodiscard]] Nanos margin(const Promise& promise, Instant now) const;

 private:
  struct Expected {
    Promise promise;
    Instant accepted{};
  };
  double error_ = 0;  // smoothed, in shares
  double deviation_ = 0;
  std::optional<Instant> observed_;  // last
  absl::flat_hash_map<RequestNumber, Expected> expected_;
};

}  // namespace mooncake::conductor
