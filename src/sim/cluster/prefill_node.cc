#include "sim/cluster/prefill_node.h"

namespace mooncake::sim {

using conductor::CacheEvent;

namespace {

void append(std::vector<CacheEvent>& events, CacheEvent::Kind kind, conductor::NodeId node, TraceBlock block) {
  if (events.empty() || events.back().kind != kind) events.push_back({.kind = kind, .node = node});
  events.back().keys.push_back(key_of(block));
}

}  // namespace

std::uint32_t PrefillNode::leading(std::span<const TraceBlock> blocks, std::uint32_t fetched_from,
                                   std::uint32_t fetched_to) const {
  std::uint32_t count = 0;
  while (count < blocks.size() && ((fetched_from <= count && count < fetched_to) || cache_.contains(blocks[count]))) {
    ++count;
  }
  return count;
}

std::vector<CacheEvent> PrefillNode::use(std::span<const TraceBlock> blocks) {
  std::vector<CacheEvent> events;
  for (std::uint32_t depth = 0; depth < blocks.size(); ++depth) {
    const BlockCache::Used used = cache_.use(blocks[depth], depth);
    if (used.hit) continue;
    if (used.evicted) append(events, CacheEvent::Kind::kRemoved, id_, *used.evicted);
    append(events, CacheEvent::Kind::kStored, id_, blocks[depth]);
  }
  return events;
}

void PrefillNode::read(std::span<const TraceBlock> blocks) {
  for (std::uint32_t depth = 0; depth < blocks.size(); ++depth) {
    if (cache_.contains(blocks[depth])) cache_.use(blocks[depth], depth);
  }
}

}  // namespace mooncake::sim
