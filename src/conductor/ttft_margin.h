// TtftMargin: how far predicted TTFTs have been off lately, so that a promise of an objective is kept by nearly all who
// get it and not by half of them. The rule is the one that sets TCP's retransmission timer (RFC 6298): smoothed error
// plus four times its smoothed deviation.
//
// Pure: time is passed in. Thread-compatible.
#pragma once

#include <absl/container/flat_hash_map.h>

#include "base/time.h"
#include "conductor/conductor.h"

namespace mooncake::conductor {

class TtftMargin {
 public:
  /// `objective`: the TTFT to keep. Until something has been observed a tenth of it is the margin; it never grows
  /// beyond half of it, so that requests go on being admitted and observed and the margin can shrink again.
  explicit TtftMargin(Nanos objective);

  /// A request was accepted at `now` with this prediction.
  void expect(RequestNumber request, Nanos predicted, Instant now) { expected_[request] = {predicted, now}; }
  /// Its first token is there. Unknown requests are ignored.
  void first_token(RequestNumber request, Instant now);
  /// It ended before: says nothing.
  void drop(RequestNumber request) { expected_.erase(request); }

  /// What to add to a prediction before it is held against the objective; at least 0.
  [[nodiscard]] Nanos margin() const;

 private:
  struct Expected {
    Nanos predicted{};
    Instant accepted{};
  };
  Nanos objective_;
  Nanos error_{};  ///< smoothed actual - predicted
  Nanos deviation_;
  absl::flat_hash_map<RequestNumber, Expected> expected_;
};

}  // namespace mooncake::conductor
