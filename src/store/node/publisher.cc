#include "store/node/publisher.h"

#include <algorithm>
#include <vector>

#include "store/methods.h"
#include "store/wire.h"

namespace mooncake::store {
namespace {

std::string encode(SessionId session, const std::deque<NodeChange>& queue, std::size_t count) {
  pb::PublishRequest request;
  request.set_session(static_cast<std::uint64_t>(session));
  request.mutable_keys()->Reserve(static_cast<int>(2 * count));
  for (std::size_t i = 0; i < count; ++i) {
    add_key(*request.mutable_keys(), queue[i].key);
    request.add_crc32c(queue[i].crc32c);
    request.add_stored(queue[i].kind == NodeChange::Kind::kStored);
  }
  return request.SerializeAsString();
}

}  // namespace

Publisher::Publisher(transfer::TransferEngine& engine, Hooks hooks, std::size_t backlog_max)
    : engine_(engine), hooks_(std::move(hooks)), backlog_max_(backlog_max) {}

void Publisher::begin(const MasterLink::Session& session, NodeChanges report) {
  end();
  session_ = session;
  in_session_ = true;
  push(std::move(report));
}

void Publisher::end() {
  in_session_ = false;
  in_flight_ = false;
  ++sessions_;
  queue_.clear();
  settled_ = pushed_;
  std::deque<std::pair<std::uint64_t, Waiter>> waiters;
  waiters.swap(waiters_);
  for (auto& [position, waiter] : waiters) waiter(Status(Code::kUnavailable, "the master is away: cannot publish"));
}

void Publisher::push(NodeChanges changes) {
  if (!in_session_) return;
  pushed_ += changes.size();
  queue_.insert(queue_.end(), changes.begin(), changes.end());
  flush();
}

void Publisher::wait(Waiter waiter) {
  if (!in_session_) return waiter(Status(Code::kUnavailable, "the master is away: cannot publish"));
  if (settled_ == pushed_) return waiter({});
  waiters_.emplace_back(pushed_, std::move(waiter));
}

void Publisher::flush() {
  if (in_flight_ || queue_.empty()) return;
  const std::size_t count = std::min(queue_.size(), kChangesPerMessageMax);
  in_flight_ = true;
  const Instant now = engine_.executor().clock().now();
  engine_.call(session_.master, kMethodPublish, encode(session_.id, queue_, count), now + kMasterCallTimeout,
               [weak = weak_from_this(), count, now, session = sessions_](Result<std::string> answer) {
                 const auto self = weak.lock();
                 if (self && self->sessions_ == session) self->answered(count, now, std::move(answer));
               });
}

void Publisher::answered(std::size_t count, Instant sent, Result<std::string> answer) {
  Result<pb::PublishReply> reply = answer.ok() ? parse<pb::PublishReply>(*answer) : answer.status();
  if (!reply.ok()) {
    end();
    return hooks_.failed();
  }
  hooks_.latency(to_ms(engine_.executor().clock().now() - sent));
  in_flight_ = false;
  std::vector<bool> refused(count, false);
  for (const std::uint32_t index : reply->refused()) {
    if (index < count) refused[index] = true;
  }
  const std::vector<NodeChange> told(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(count));
  queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(count));
  settled_ += count;
  for (std::size_t i = 0; i < count; ++i) (refused[i] ? hooks_.refused : hooks_.accepted)(told[i]);
  flush();
  std::vector<Waiter> ready;
  while (!waiters_.empty() && waiters_.front().first <= settled_) {
    ready.push_back(std::move(waiters_.front().second));
    waiters_.pop_front();
  }
  for (Waiter& waiter : ready) waiter({});
}

}  // namespace mooncake::store
