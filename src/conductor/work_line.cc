#include "conductor/work_line.h"

#include <algorithm>

namespace mooncake::conductor {

void WorkLine::push(RequestNumber request, Nanos predicted, Instant now, const Tenant& tenant) {
  waiting_.push(tenant, {.request = request, .predicted = std::max(predicted, Nanos{0}), .pushed = now});
  if (in_work_) return;
  in_work_ = waiting_.pop();
  started_ = now;
}

bool WorkLine::remove(RequestNumber request, Instant now) {
  if (!in_work_ || in_work_->request != request) return waiting_.remove(request);
  in_work_ = waiting_.pop();
  started_ = now;
  return true;
}

void WorkLine::start(RequestNumber request, Instant now) {
  if (in_work_ && in_work_->request == request) started_ = now;
}

void WorkLine::expire(Instant now) {
  while (in_work_ && started_ + in_work_->predicted <= now) {
    started_ += in_work_->predicted;
    in_work_ = waiting_.pop();
  }
}

Nanos WorkLine::left(Instant now) const { return waiting_.sum() + in_work_left(now); }

Nanos WorkLine::left_before(const Tenant& tenant, Nanos predicted, Instant now) const {
  return waiting_.ahead_of(tenant, predicted) + in_work_left(now);
}

Nanos WorkLine::left_of_pushed_by(Instant pushed_by, Instant now) const {
  Nanos left = in_work_ && in_work_->pushed <= pushed_by ? in_work_left(now) : Nanos{0};
  waiting_.for_each([&](const FairLine::Piece& piece) {
    if (piece.pushed <= pushed_by) left += piece.predicted;
  });
  return left;
}

std::uint32_t WorkLine::size_of_pushed_by(Instant pushed_by) const {
  std::uint32_t count = in_work_ && in_work_->pushed <= pushed_by ? 1 : 0;
  waiting_.for_each([&](const FairLine::Piece& piece) {
    if (piece.pushed <= pushed_by) ++count;
  });
  return count;
}

Nanos WorkLine::in_work_left(Instant now) const {
  if (!in_work_) return Nanos{0};
  return in_work_->predicted - std::clamp(now - started_, Nanos{0}, in_work_->predicted);
}

}  // namespace mooncake::conductor
