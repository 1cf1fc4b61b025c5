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

std::vector<CacheEvent> PrefillNode::use(std::span<const TraceBlock> blocks, std::uint32_t first) {
  std::vector<CacheEvent> events;
  for (std::uint32_t i = 0; i < blocks.size(); ++i) {
    const BlockCache::Used used = cache_.use(blocks[i], first + i);
    if (used.hit) continue;
    if (used.evicted) append(events, CacheEvent::Kind::kRemoved, id_, *used.evicted);
    append(events, CacheEvent::Kind::kStored, id_, blocks[i]);
  }
  return events;
}

void PrefillNode::read(std::span<const TraceBlock> blocks, std::uint32_t first) {
  for (std::uint32_t i = 0; i < blocks.size(); ++i) {
    if (cache_.contains(blocks[i])) cache_.use(blocks[i], first + i);
  }
}

}  // namespace mooncake::sim
