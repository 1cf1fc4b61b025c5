#include "transfer/call_table.h"

namespace mooncake::transfer {

void CallTable::add(std::uint64_t id, Deadline deadline, CallCallback done) {
  TimerId timer{0};
  if (deadline != kNever) {
    timer = loop_.post_at(
        deadline, [this, id] { complete(id, Status(Code::kDeadlineExceeded, "no reply came before the deadline")); });
  }
  calls_.emplace(id, Call{std::move(done), timer});
}

void CallTable::complete(std::uint64_t id, Result<std::string> result) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  CallCallback done = std::move(found->second.done);
  loop_.cancel(found->second.timer);
  calls_.erase(found);
  done(std::move(result));
}

void CallTable::forget(std::uint64_t id) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  loop_.cancel(found->second.timer);
  calls_.erase(found);
}

void CallTable::fail_all(const Status& why) {
  while (!calls_.empty()) complete(calls_.begin()->first, why);
}

}  // namespace mooncake::transfer
