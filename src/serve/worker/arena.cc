#include "serve/worker/arena.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

namespace mooncake::serve {
namespace {

std::uint64_t units_of(std::uint64_t bytes) {
  return std::max<std::uint64_t>(1, bytes / kArenaUnitBytes + (bytes % kArenaUnitBytes != 0 ? 1 : 0));
}

}  // namespace

std::shared_ptr<Arena> Arena::create(ByteSpan memory, Executor& executor) {
  return std::shared_ptr<Arena>(new Arena(memory, executor));
}

Arena::Arena(ByteSpan memory, Executor& executor)
    : memory_(memory), executor_(executor), space_(memory.size() / kArenaUnitBytes) {}

Arena::LeasePointer Arena::carve(std::uint64_t bytes) {
  const std::uint64_t units = units_of(bytes);
  const auto offset = space_.allocate(units);
  if (!offset) return nullptr;
  return std::make_shared<Lease>(weak_from_this(), *offset, units, memory_.subspan(*offset * kArenaUnitBytes, bytes));
}

Arena::LeasePointer Arena::try_acquire(std::uint64_t bytes) {
  if (!waiters_.empty() || units_of(bytes) > space_.size()) return nullptr;
  return carve(bytes);
}

Arena::Ticket Arena::acquire(std::uint64_t bytes, Deadline deadline, Callback granted) {
  if (units_of(bytes) > space_.size()) {
    granted(Status(
        Code::kOutOfRange,
        fmt::format("{} bytes of KVCache never fit the worker's arena of {}; raise its size", bytes, bytes_max())));
    return 0;
  }
  if (waiters_.empty()) {
    if (LeasePointer lease = carve(bytes)) {
      granted(std::move(lease));
      return 0;
    }
  }
  if (waiters_.size() >= kArenaWaitersMax) {
    granted(Status(Code::kExhausted, fmt::format("{} requests wait for KVCache memory", waiters_.size())));
    return 0;
  }
  const Ticket ticket = next_ticket_++;
  const TimerId timer =
      deadline == kNever ? TimerId{0} : executor_.post_at(deadline, [weak = weak_from_this(), ticket] {
        if (const auto self = weak.lock()) self->expire(ticket);
      });
  waiters_.push_back({ticket, bytes, timer, std::move(granted)});
  return ticket;
}

void Arena::cancel(Ticket ticket) {
  const auto waiter =
      std::find_if(waiters_.begin(), waiters_.end(), [&](const Waiter& w) { return w.ticket == ticket; });
  if (waiter == waiters_.end()) return;
  executor_.cancel(waiter->timer);
  waiters_.erase(waiter);
  grant_waiters();  // the head may have gone, and the next one may fit
}

void Arena::expire(Ticket ticket) {
  const auto waiter =
      std::find_if(waiters_.begin(), waiters_.end(), [&](const Waiter& w) { return w.ticket == ticket; });
  if (waiter == waiters_.end()) return;
  Callback granted = std::move(waiter->granted);
  waiters_.erase(waiter);
  granted(Status(Code::kDeadlineExceeded, "no KVCache memory became free in time"));
  grant_waiters();
}

void Arena::release(std::uint64_t offset, std::uint64_t units) {
  space_.free(offset, units);
  grant_waiters();
}

void Arena::grant_waiters() {
  if (granting_) return;  // a callback below dropped a lease: the loop that called it goes on
  granting_ = true;
  while (!waiters_.empty()) {
    LeasePointer lease = carve(waiters_.front().bytes);
    if (!lease) break;
    executor_.cancel(waiters_.front().timer);
    Callback granted = std::move(waiters_.front().granted);
    waiters_.pop_front();
    granted(std::move(lease));
  }
  granting_ = false;
}

Arena::Lease::~Lease() {
  if (const auto arena = arena_.lock()) arena->release(offset_, units_);
}

}  // namespace mooncake::serve
