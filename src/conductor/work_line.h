// WorkLine: predicted work that one server (an instance, a node's sending side) does piece by piece, in order.
//
// The head counts down with time from when it started; the others count in full. When the head leaves, the next starts
// at that moment. A head that takes longer than predicted counts as nothing until it leaves.
//
// Pure: time is passed in and must not decrease. Thread-compatible.
#pragma once

#include <cstdint>
#include <deque>

#include "base/time.h"
#include "conductor/conductor.h"

namespace mooncake::conductor {

class WorkLine {
 public:
  /// Appends work of `request`. A request may have one piece in a line.
  void push(RequestNumber request, Nanos predicted, Instant now);
  /// Removes the piece of `request`, done or given up. @return false if there is none. O(size).
  bool remove(RequestNumber request, Instant now);
  /// Corrects when the head started: not at its turn by prediction, but now. Ignored for other requests.
  void start(RequestNumber request, Instant now);
  /// Removes every head whose predicted end has passed: for work whose end nobody reports.
  void expire(Instant now);

  /// Predicted work left. O(1).
  [[nodiscard]] Nanos left(Instant now) const;
  /// The same, of pieces that were pushed at or before `pushed_by`. O(size).
  [[nodiscard]] Nanos left_of_pushed_by(Instant pushed_by, Instant now) const;
  /// How many pieces those are. O(log size).
  [[nodiscard]] std::uint32_t size_of_pushed_by(Instant pushed_by) const;
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(pieces_.size()); }

 private:
  struct Piece {
    RequestNumber request{};
    Nanos predicted{};
    Instant pushed{};
  };
  [[nodiscard]] Nanos head_done(Instant now) const;

  std::deque<Piece> pieces_;
  Nanos sum_{};  // of all pieces
  Instant head_started_{};
};

}  // namespace mooncake::conductor
