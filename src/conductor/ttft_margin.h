// TtftMargin: how far predicted TTFTs have been off lately, so that a promise of an objective is kept by nearly all who
// get it and not by half of them. The rule is the one that sets TCP's retransmission timer (RFC 6298): smoothed error
// plus four times its smoothed deviation. Without news the estimate fades into a first guess: if it kept everybody out,
// nobody would come who could correct it.
//
// Pure: time is passed in. Thread-compatible.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <optional>

#include "base/time.h"
#include "conductor/conductor.h"

namespace mooncake::conductor {

/// Share of the objective that is kept before anything has been observed.
inline constexpr double kMarginFirstGuess = 0.1;
/// Never more than this share, so that requests go on being admitted and observed.
inline constexpr double kMarginMax = 0.5;
/// After this long without an observation the estimate counts half: a crowded machine is often quiet again by then.
inline constexpr Nanos kMarginHalfLife = Seconds(10);

class TtftMargin {
 public:
  /// A request was accepted at `now` with this prediction.
  void expect(RequestNumber request, Nanos predicted, Instant now) { expected_[request] = {predicted, now}; }
  /// Its first token is there. Unknown requests are ignored.
  void first_token(RequestNumber request, Instant now);
  /// It ended before: says nothing.
  void drop(RequestNumber request) { expected_.erase(request); }

  /// What to add to a prediction before it is held against `objective`; at least 0.
  [[nodiscard]] Nanos margin(Nanos objective, Instant now) const;

 private:
  struct Expected {
    Nanos predicted{};
    Instant accepted{};
  };
  Nanos error_{};  // smoothed actual - predicted
  Nanos deviation_{};
  std::optional<Instant> observed_;  // last
  absl::flat_hash_map<RequestNumber, Expected> expected_;
};

}  // namespace mooncake::conductor
