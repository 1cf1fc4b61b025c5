#include "store/node/node_context.h"

#include <algorithm>
#include <utility>

#include "base/metrics.h"

namespace mooncake::store {

void NodeContext::changed(NodeChanges changes) {
  metrics.objects.Set(static_cast<double>(core.objects()));
  metrics.bytes_used.Set(static_cast<double>(core.bytes_used()));
  metrics.evictions.Increment(static_cast<double>(core.evictions() - evictions_counted_));
  evictions_counted_ = core.evictions();
  if (!changes.empty()) publisher->push(std::move(changes));
  if (!core.above_watermark() || reclaim_posted_ || stopped) return;
  reclaim_posted_ = true;
  executor.post([self = shared_from_this()] {
    self->reclaim_posted_ = false;
    self->reclaim();
  });
}

void NodeContext::reclaim() {
  NodeChanges evicted;
  core.reclaim(kReclaimObjectsMax, evicted);
  if (evicted.empty()) return;  // everything is pinned: the next change tries again
  changed(std::move(evicted));
  released();
}

void NodeContext::released() {
  if (retry_posted_ || waiting_for_room.empty()) return;
  retry_posted_ = true;
  executor.post([self = shared_from_this()] {
    self->retry_posted_ = false;
    self->retry_waiting();
  });
}

void NodeContext::retry_waiting() {
  while (!waiting_for_room.empty()) {
    const std::function<bool()> retry = waiting_for_room.front();
    if (!retry()) return;  // nobody overtakes: a large put would wait for ever
    waiting_for_room.pop_front();
  }
}

void NodeContext::twin_ended(const Key128& key) {
  const auto found = waiting_for_twin.find(key);
  if (found == waiting_for_twin.end()) return;
  for (std::function<void()>& retry : found->second) executor.post(std::move(retry));
  waiting_for_twin.erase(found);
}

void NodeContext::stop() {
  stopped = true;
  publisher->end();
  for (auto waiting = std::exchange(waiting_for_twin, {}); auto& [key, retries] : waiting) {
    for (const std::function<void()>& retry : retries) retry();
  }
  for (const std::function<bool()>& retry : std::exchange(waiting_for_room, {})) retry();
}

Deadline NodeContext::deadline_after(std::int64_t ms) const {
  const auto limit = std::chrono::duration_cast<Millis>(kOperationTimeMax).count();
  return executor.clock().now() + Millis(std::clamp<std::int64_t>(ms, 0, limit));
}

}  // namespace mooncake::store
