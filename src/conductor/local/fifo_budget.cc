#include "conductor/local/fifo_budget.h"

#include <algorithm>

#include "base/check.h"

namespace mooncake::conductor {

Status FifoBudget::ask(RequestNumber request, std::uint64_t amount) {
  if (amount > limits_.amount_max || limits_.holders_max == 0) {
    return {Code::kOutOfRange,
            "asks for " + std::to_string(amount) + ", all there is is " + std::to_string(limits_.amount_max)};
  }
  if (holds(request) || std::ranges::find(waiting_, request, &Asker::request) != waiting_.end()) {
    return {Code::kAlreadyExists, "request asked already"};
  }
  if (waiting_.size() >= limits_.waiting_max) {
    return {Code::kExhausted, std::to_string(waiting_.size()) + " requests wait already"};
  }
  waiting_.push_back({request, amount});
  return {};
}

std::optional<RequestNumber> FifoBudget::grant() {
  if (waiting_.empty() || holders_.size() >= limits_.holders_max) return std::nullopt;
  const Asker next = waiting_.front();
  if (next.amount > limits_.amount_max - amount_) return std::nullopt;
  waiting_.pop_front();
  amount_ += next.amount;
  holders_.emplace(next.request, next.amount);
  return next.request;
}

bool FifoBudget::release(RequestNumber request) {
  if (const auto held = holders_.find(request); held != holders_.end()) {
    CHECK(amount_ >= held->second);
    amount_ -= held->second;
    holders_.erase(held);
    return true;
  }
  const auto asker = std::ranges::find(waiting_, request, &Asker::request);
  if (asker == waiting_.end()) return false;
  waiting_.erase(asker);
  return true;
}

}  // namespace mooncake::conductor
