// PredictionMargin: how far predictions of one kind (TTFT, TBT) have been off lately, so that a promise of an objective
// is kept by nearly all who get it and not by half of them. The rule is the one that sets TCP's retransmission timer
// (RFC 6298): smoothed error plus some times its smoothed deviation. Errors are counted in shares of the prediction,
// for a queue's error grows with the queue, plus a tenth of the objective, so that a few milliseconds of overhead on a
// short prompt say little about a long one. Without news the estimate fades into a first guess: if it kept everybody
// out, nobody would come who could correct it.
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

/// RFC 6298 has four deviations; nearly every request keeps its TTFT then.
inline constexpr double kTtftDeviations = 4;
/// A TBT scatters by how long answers are: a short one is judged by its first gap alone, in which it waits for a step
/// to end, whoever else is there. What the mean error does not cover, idle instances do not cover either.
inline constexpr double kTbtDeviations = 0;

class PredictionMargin {
 public:
  /// What a request would be, or was, accepted under.
  struct Promise {
    Nanos predicted{};
    Nanos objective{};
  };

  explicit PredictionMargin(double deviations) : deviations_(deviations) {}

  /// A request was accepted at `now`.
  void expect(RequestNumber request, const Promise& promise, Instant now) { expected_[request] = {promise, now}; }
  /// When `request` was accepted, if its outcome is still expected.
  [[nodiscard]] std::optional<Instant> accepted(RequestNumber request) const;
  /// What was predicted is `actual`. Unknown requests are ignored.
  void observe(RequestNumber request, Nanos actual, Instant now);
  /// It ended before: says nothing.
  void drop(RequestNumber request) { expected_.erase(request); }

  /// What to add to the prediction before it is held against the objective; at least 0.
  [[nodiscard]] Nanos margin(const Promise& promise, Instant now) const;

 private:
  struct Expected {
    Promise promise;
    Instant accepted{};
  };
  double deviations_;
  double error_ = 0;  // smoothed, in shares
  double deviation_ = 0;
  std::optional<Instant> observed_;  // last
  absl::flat_hash_map<RequestNumber, Expected> expected_;
};

}  // namespace mooncake::conductor
