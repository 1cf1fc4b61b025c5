#include "conductor/local/prefill_queue.h"

#include <algorithm>

namespace mooncake::conductor {

Status PrefillQueue::push(RequestNumber request, Nanos predicted, const Tenant& tenant) {
  if (running_request() == request || waiting_.contains(request)) {
    return {Code::kAlreadyExists, "request is queued already"};
  }
  if (waiting_.size() >= waiting_max_) {
    return {Code::kExhausted, "prefill queue is full with " + std::to_string(waiting_.size()) + " requests"};
  }
  waiting_.push(tenant, {.request = request, .predicted = std::max(predicted, Nanos{0})});
  return {};
}

std::optional<RequestNumber> PrefillQueue::start(Instant now) {
  if (running_) return std::nullopt;
  const auto prompt = waiting_.pop();
  if (!prompt) return std::nullopt;
  running_ = Running{.prompt = *prompt, .started = now};
  return prompt->request;
}

bool PrefillQueue::remove(RequestNumber request) {
  if (running_request() != request) return waiting_.remove(request);
  running_.reset();
  return true;
}

Nanos PrefillQueue::outstanding(Instant now) const {
  Nanos left{0};
  if (running_) left = std::max(Nanos{0}, running_->prompt.predicted - (now - running_->started));
  return waiting_.sum() + left;
}

bool PrefillQueue::contradicts(Nanos expected, Nanos predicted, Instant now) const {
  const Nanos actual = outstanding(now) + predicted;
  return actual > expected + kOutstandingSlack && to_ms(actual) > to_ms(expected) * kOutstandingTolerance;
}

std::optional<RequestNumber> PrefillQueue::running_request() const {
  return running_ ? std::optional(running_->prompt.request) : std::nullopt;
}

std::optional<RequestNumber> PrefillQueue::next() const {
  const FairLine::Piece* next = waiting_.next();
  return next == nullptr ? std::nullopt : std::optional(next->request);
}

}  // namespace mooncake::conductor
