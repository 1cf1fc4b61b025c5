#include "conductor/work_line.h"

#include <algorithm>

namespace mooncake::conductor {

void WorkLine::push(RequestNumber request, Nanos predicted, Instant now) {
  if (pieces_.empty()) head_started_ = now;
  pieces_.push_back({request, std::max(predicted, Nanos{0}), now});
  sum_ += pieces_.back().predicted;
}

bool WorkLine::remove(RequestNumber request, Instant now) {
  const auto at = std::ranges::find(pieces_, request, &Piece::request);
  if (at == pieces_.end()) return false;
  if (at == pieces_.begin()) head_started_ = now;
  sum_ -= at->predicted;
  pieces_.erase(at);
  return true;
}

void WorkLine::start(RequestNumber request, Instant now) {
  if (!pieces_.empty() && pieces_.front().request == request) head_started_ = now;
}

void WorkLine::expire(Instant now) {
  while (!pieces_.empty() && head_started_ + pieces_.front().predicted <= now) {
    head_started_ += pieces_.front().predicted;
    sum_ -= pieces_.front().predicted;
    pieces_.pop_front();
  }
}

Nanos WorkLine::left(Instant now) const { return sum_ - head_done(now); }

Nanos WorkLine::left_of_pushed_by(Instant pushed_by, Instant now) const {
  const std::uint32_t count = size_of_pushed_by(pushed_by);
  if (count == 0) return Nanos{0};
  Nanos left{0};
  for (std::uint32_t i = 0; i < count; ++i) left += pieces_[i].predicted;
  return left - head_done(now);
}

// Pieces are in the order of their pushes.
std::uint32_t WorkLine::size_of_pushed_by(Instant pushed_by) const {
  const auto end = std::ranges::upper_bound(pieces_, pushed_by, {}, &Piece::pushed);
  return static_cast<std::uint32_t>(end - pieces_.begin());
}

Nanos WorkLine::head_done(Instant now) const {
  if (pieces_.empty()) return Nanos{0};
  return std::clamp(now - head_started_, Nanos{0}, pieces_.front().predicted);
}

}  // namespace mooncake::conductor
