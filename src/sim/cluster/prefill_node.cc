#include "sim/cluster/prefill_node.h"

#include <algorithm>

namespace mooncake::sim {

using conductor::CacheEvent;
using conductor::NodeId;
using conductor::Tier;

namespace {

// One event for all that come one after the other and differ in nothing but the block.
class Events {
 public:
  explicit Events(NodeId node) : node_(node) {}

  void add(CacheEvent::Kind kind, TraceBlock block, Tier tier = Tier::kMemory) {
    if (events_.empty() || events_.back().kind != kind || events_.back().tier != tier) {
      events_.push_back({.kind = kind, .node = node_, .tier = tier});
    }
    events_.back().keys.push_back(key_of(block));
  }
  std::vector<CacheEvent> take() { return std::move(events_); }

 private:
  NodeId node_;
  std::vector<CacheEvent> events_;
};

}  // namespace

PrefillNode::PrefillNode(NodeId id, TieredCache cache, Link out, Link ssds)
    : link(out), ssd(ssds), id_(id), cache_(std::move(cache)) {}

std::uint32_t PrefillNode::leading(std::span<const TraceBlock> blocks, const Brought& brought) const {
  std::uint32_t count = 0;
  while (count < blocks.size() && (brought.holds(count) || cache_.contains(blocks[count]))) ++count;
  return count;
}

std::vector<CacheEvent> PrefillNode::use(std::span<const TraceBlock> blocks, std::uint32_t first) {
  Events events(id_);
  for (std::uint32_t i = 0; i < blocks.size(); ++i) {
    const TieredCache::Used used = cache_.use(blocks[i], first + i);
    if (used.demoted) events.add(CacheEvent::Kind::kStored, *used.demoted, Tier::kSsd);
    for (const auto& lost : {used.memory_lost, used.ssd_lost}) {
      if (lost) events.add(CacheEvent::Kind::kRemoved, *lost);
    }
    if (used.stored) events.add(CacheEvent::Kind::kStored, blocks[i]);
  }
  return events.take();
}

std::vector<CacheEvent> PrefillNode::found_on_ssd() const {
  Events events(id_);
  for (const TraceBlock block : cache_.ssd_blocks()) events.add(CacheEvent::Kind::kStored, block, Tier::kSsd);
  return events.take();
}

PrefillNode::Sent PrefillNode::send(std::span<const TraceBlock> blocks, double block_bytes, Instant now,
                                    std::uint32_t first) {
  Sent sent{.arrives = link.send(block_bytes * static_cast<double>(blocks.size()), now)};
  for (std::uint32_t i = 0; i < blocks.size(); ++i) {
    if (!cache_.contains(blocks[i])) continue;
    if (cache_.only_on_ssd(blocks[i])) ++sent.from_ssd;
    cache_.read(blocks[i], first + i);
  }
  if (sent.from_ssd > 0) sent.arrives = std::max(sent.arrives, ssd.send(block_bytes * sent.from_ssd, now));
  return sent;
}

}  // namespace mooncake::sim
