#include "conductor/local/prefill_queue.h"

#include <algorithm>

namespace mooncake::conductor {

Status PrefillQueue::push(RequestNumber request, Nanos predicted) {
  const bool running = running_ && running_->request == request;
  if (running || std::ranges::find(waiting_, request, &Prompt::request) != waiting_.end()) {
    return {Code::kAlreadyExists, "request is queued already"};
  }
  if (waiting_.size() >= waiting_max_) {
    return {Code::kExhausted, "prefill queue is full with " + std::to_string(waiting_.size()) + " requests"};
  }
  waiting_.push_back({request, std::max(predicted, Nanos{0}), Instant{}});
  waiting_sum_ += waiting_.back().predicted;
  return {};
}

std::optional<RequestNumber> PrefillQueue::start(Instant now) {
  if (running_ || waiting_.empty()) return std::nullopt;
  running_ = waiting_.front();
  running_->started = now;
  waiting_sum_ -= running_->predicted;
  waiting_.pop_front();
  return running_->request;
}

bool PrefillQueue::remove(RequestNumber request) {
  if (running_ && running_->request == request) {
    running_.reset();
    return true;
  }
  const auto at = std::ranges::find(waiting_, request, &Prompt::request);
  if (at == waiting_.end()) return false;
  waiting_sum_ -= at->predicted;
  waiting_.erase(at);
  return true;
}

Nanos PrefillQueue::outstanding(Instant now) const {
  Nanos left{0};
  if (running_) left = std::max(Nanos{0}, running_->predicted - (now - running_->started));
  return waiting_sum_ + left;
}

bool PrefillQueue::contradicts(Nanos expected, Nanos predicted, Instant now) const {
  const Nanos actual = outstanding(now) + predicted;
  return actual > expected + kOutstandingSlack && to_ms(actual) > to_ms(expected) * kOutstandingTolerance;
}

std::optional<RequestNumber> PrefillQueue::running_request() const {
  return running_ ? std::optional(running_->request) : std::nullopt;
}

std::optional<RequestNumber> PrefillQueue::next() const {
  return waiting_.empty() ? std::nullopt : std::optional(waiting_.front().request);
}

}  // namespace mooncake::conductor
