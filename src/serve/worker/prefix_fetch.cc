#include "serve/worker/prefix_fetch.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "store/core/directory.h"

namespace mooncake::serve {
namespace {

using Done = absl::AnyInvocable<void(FetchedPrefix)>;

std::size_t located_prefix(const std::vector<std::vector<store::Location>>& locations) {
  const auto gap =
      std::find_if(locations.begin(), locations.end(), [](const auto& replicas) { return replicas.empty(); });
  return static_cast<std::size_t>(gap - locations.begin());
}

// Of the blocks that are located, those that one more node may hold.
std::vector<bool> with_room(const Result<std::vector<std::vector<store::Location>>>& located, std::size_t count) {
  std::vector<bool> room(count);
  for (std::size_t i = 0; located.ok() && i < count; ++i) room[i] = (*located)[i].size() < store::kReplicasMax;
  return room;
}

FetchedPrefix arrived_prefix(const std::vector<store::GetOutcome>& outcomes, const std::string& own_node,
                             const std::vector<bool>& room, prometheus::Counter& corrupt) {
  FetchedPrefix prefix;
  for (const store::GetOutcome& outcome : outcomes) {
    if (!outcome.status.ok()) {
      if (outcome.status.code() == Code::kCorrupt) corrupt.Increment();
      if (outcome.status.code() != Code::kNotFound)
        log_warn("cached block not fetched: {}", outcome.status.to_string());
      break;
    }
    prefix.push_back({.crc32c = outcome.crc32c, .to_keep = room[prefix.size()] && outcome.node != own_node});
  }
  return prefix;
}

}  // namespace

void fetch_prefix(const WorkerContext& context, std::vector<store::ObjectKey> keys, Arena::LeasePointer lease,
                  std::uint32_t first_slot, Deadline deadline, Done done) {
  if (context.store == nullptr || keys.empty()) {
    context.loop.post([done = std::move(done)]() mutable { done({}); });
    return;
  }
  deadline = std::min(deadline, context.now() + kFetchTimeout);
  const std::uint64_t block_bytes = context.block_bytes();
  auto asked = keys;
  // The worker may end before the answer comes, and its store client with it; its arena says so.
  context.store->locate(
      std::move(asked), deadline,
      [alive = std::weak_ptr(context.arena), store = context.store, corrupt = &context.metrics.blocks_corrupt,
       keys = std::move(keys), lease = std::move(lease), first_slot, block_bytes, deadline,
       own_node = context.config.attached_node,
       done = std::move(done)](Result<std::vector<std::vector<store::Location>>> located) mutable {
        if (alive.expired()) return;
        // Without a directory the client still knows where it has met blocks before.
        const std::size_t count = located.ok() ? located_prefix(*located) : keys.size();
        if (count == 0) {
          done({});
          return;
        }
        std::vector<store::GetItem> items;
        items.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
          items.push_back({keys[i], lease->bytes().subspan((first_slot + i) * block_bytes, block_bytes)});
        }
        store->get(std::move(items), deadline,
                   [corrupt, lease = std::move(lease), own_node = std::move(own_node), room = with_room(located, count),
                    done = std::move(done)](const std::vector<store::GetOutcome>& outcomes) mutable {
                     done(arrived_prefix(outcomes, own_node, room, *corrupt));
                   });
      });
}

}  // namespace mooncake::serve
