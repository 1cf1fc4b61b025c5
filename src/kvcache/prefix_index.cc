#include "kvcache/prefix_index.h"

#include <algorithm>

#include "base/check.h"

namespace mooncake::kvcache {
namespace {

// Keys of cleared nodes looked at with every change: more than one, so that garbage shrinks faster than it can grow.
constexpr int kSweepKeys = 4;

}  // namespace

void PrefixIndex::add(std::uint32_t node, const Key128& key) {
  sweep();
  Node& owner = node_at(node);
  if (!owner.keys.insert(key).second) return;
  Holders& holders = holders_[key];
  // A stale entry of the same node may still be here, if it was cleared and the sweep has not come by.
  const auto same = std::ranges::find(holders, node, &Holder::node);
  if (same != holders.end()) {
    same->generation = owner.generation;
  } else {
    holders.push_back({node, owner.generation});
  }
}

void PrefixIndex::remove(std::uint32_t node, const Key128& key) {
  sweep();
  if (node >= nodes_.size() || nodes_[node].keys.erase(key) == 0) return;
  const auto at = holders_.find(key);
  CHECK(at != holders_.end());
  Holders& holders = at->second;
  const auto same = std::ranges::find(holders, node, &Holder::node);
  CHECK(same != holders.end());
  holders.erase(same);
  if (holders.empty()) holders_.erase(at);
}

void PrefixIndex::clear(std::uint32_t node) {
  if (node >= nodes_.size() || nodes_[node].keys.empty()) return;
  Garbage& garbage = garbage_.emplace_back();
  garbage.keys.swap(nodes_[node].keys);
  garbage.next = garbage.keys.begin();
  ++nodes_[node].generation;
}

bool PrefixIndex::holds(std::uint32_t node, const Key128& key) const {
  return node < nodes_.size() && nodes_[node].keys.contains(key);
}

PrefixMatch PrefixIndex::match(std::span<const Key128> chain) const {
  PrefixMatch match;
  match.blocks_by_node.resize(nodes_.size());
  for (std::uint32_t depth = 0; depth < chain.size(); ++depth) {
    const auto at = holders_.find(chain[depth]);
    if (at == holders_.end()) break;
    bool held = false;
    for (const Holder& holder : at->second) {
      if (!live(holder)) continue;
      held = true;
      std::uint32_t& blocks = match.blocks_by_node[holder.node];
      if (blocks == depth) blocks = depth + 1;
    }
    if (!held) break;
    match.blocks_any = depth + 1;
  }
  return match;
}

std::size_t PrefixIndex::size(std::uint32_t node) const { return node < nodes_.size() ? nodes_[node].keys.size() : 0; }

PrefixIndex::Node& PrefixIndex::node_at(std::uint32_t node) {
  CHECK(node < kNodesMax);
  if (node >= nodes_.size()) nodes_.resize(node + 1);
  return nodes_[node];
}

void PrefixIndex::sweep() {
  for (int i = 0; i < kSweepKeys && !garbage_.empty(); ++i) {
    Garbage& garbage = garbage_.front();
    const auto at = holders_.find(*garbage.next);
    if (at != holders_.end()) {
      Holders& holders = at->second;
      const auto is_stale = [this](const Holder& holder) { return !live(holder); };
      holders.erase(std::remove_if(holders.begin(), holders.end(), is_stale), holders.end());
      if (holders.empty()) holders_.erase(at);
    }
    if (++garbage.next == garbage.keys.end()) garbage_.pop_front();
  }
}

}  // namespace mooncake::kvcache
