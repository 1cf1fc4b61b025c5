#include "kvcache/prefix_index.h"

#include <absl/container/inlined_vector.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace mooncake::kvcache {
namespace {

// Slots looked at with every change while there is garbage. A round of the table is then done after an eighth as many
// changes as it has slots, so no more than that many new blocks can turn into garbage meanwhile.
constexpr std::size_t kSweepSlots = 8;

// How many keys ahead slots are loaded. A miss takes about ten times as long as the work on one key, and a core has ten
// to sixteen misses under way.
constexpr std::size_t kKeysAhead = 12;

// Calls `visit` with each key, whose slot has been asked for some keys earlier, until that returns false.
template <typename Visit>
void for_each_ahead(const BlockTable& table, std::span<const Key128> keys, Visit visit) {
  const std::size_t first = std::min(kKeysAhead, keys.size());
  for (std::size_t i = 0; i < first; ++i) table.prefetch(slot_key(keys[i]));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (i + kKeysAhead < keys.size()) table.prefetch(slot_key(keys[i + kKeysAhead]));
    if (!visit(keys[i])) return;
  }
}

// Holders of all of a chain's blocks so far, ascending.
using Unbroken = absl::InlinedVector<HolderId, 32>;

// Drops from `unbroken` who is not among `holders`, which ascend, and passes each to `ended`.
template <typename Ended>
void keep_holders(Unbroken& unbroken, std::span<const HolderId> holders, Ended ended) {
  auto holder = holders.begin();
  const auto is_lost = [&](HolderId id) {
    holder = std::lower_bound(holder, holders.end(), id);
    return holder == holders.end() || *holder != id;
  };
  auto kept = unbroken.begin();
  for (const HolderId id : unbroken) {
    if (is_lost(id)) {
      ended(id);
    } else {
      *kept++ = id;
    }
  }
  unbroken.erase(kept, unbroken.end());
}

}  // namespace

void PrefixIndex::add(std::uint32_t node, std::span<const Key128> keys) {
  const HolderId stream = stream_of(node);
  for_each_ahead(table_, keys, [&](const Key128& key) {
    sweep();
    add_to(stream, key);
    return true;
  });
}

void PrefixIndex::remove(std::uint32_t node, std::span<const Key128> keys) {
  if (node >= nodes_.size()) return;
  for_each_ahead(table_, keys, [&](const Key128& key) {
    sweep();
    remove_from(nodes_[node], key);
    return true;
  });
}

void PrefixIndex::clear(std::uint32_t node) {
  if (node >= nodes_.size()) return;
  Stream& old = streams_[nodes_[node]];
  if (old.blocks == 0) return;
  old.live = false;
  garbage_ += old.blocks;
  nodes_[node] = start_stream(node);
}

bool PrefixIndex::holds(std::uint32_t node, const Key128& key) const {
  return node < nodes_.size() && sets_.contains(table_.get(slot_key(key)), nodes_[node]);
}

// Most blocks of a chain have the holders of the block before, and then no node's prefix ends.
PrefixMatch PrefixIndex::match(std::span<const Key128> chain) const {
  PrefixMatch match;
  match.blocks_by_node.resize(nodes_.size());
  Unbroken unbroken;
  SetId set = HolderSets::kNobody;
  for_each_ahead(table_, chain, [&](const Key128& key) {
    const SetId before = std::exchange(set, table_.get(slot_key(key)));
    if (set != before || set == HolderSets::kNobody) {
      const auto holders = sets_.members(set);
      if (!any_live(holders)) return false;
      if (match.blocks_any == 0) {
        std::ranges::copy_if(holders, std::back_inserter(unbroken), [&](HolderId id) { return streams_[id].live; });
      } else {
        keep_holders(unbroken, holders,
                     [&](HolderId id) { match.blocks_by_node[streams_[id].node] = match.blocks_any; });
      }
    }
    ++match.blocks_any;
    return true;
  });
  for (const HolderId id : unbroken) match.blocks_by_node[streams_[id].node] = match.blocks_any;
  return match;
}

std::size_t PrefixIndex::size(std::uint32_t node) const {
  return node < nodes_.size() ? streams_[nodes_[node]].blocks : 0;
}

HolderId PrefixIndex::start_stream(std::uint32_t node) {
  auto id = static_cast<HolderId>(streams_.size());
  if (free_streams_.empty()) {
    streams_.emplace_back();
  } else {
    id = free_streams_.back();
    free_streams_.pop_back();
  }
  streams_[id] = {.node = node, .live = true, .blocks = 0};
  return id;
}

HolderId PrefixIndex::stream_of(std::uint32_t node) {
  CHECK(node < kNodesMax);
  while (nodes_.size() <= node) nodes_.push_back(start_stream(static_cast<std::uint32_t>(nodes_.size())));
  return nodes_[node];
}

void PrefixIndex::add_to(HolderId stream, const Key128& key) {
  const SlotKey slot = slot_key(key);
  const SetId set = table_.get(slot);
  if (sets_.contains(set, stream)) return;
  table_.put(slot, sets_.add(set, stream));
  ++streams_[stream].blocks;
}

void PrefixIndex::remove_from(HolderId stream, const Key128& key) {
  const SlotKey slot = slot_key(key);
  const SetId set = table_.get(slot);
  if (!sets_.contains(set, stream)) return;
  table_.put(slot, sets_.remove(set, stream));
  forget_block(stream);
}

void PrefixIndex::forget_block(HolderId stream) {
  Stream& owner = streams_[stream];
  CHECK(owner.blocks > 0);
  --owner.blocks;
  if (owner.live) return;
  --garbage_;
  if (owner.blocks == 0) free_streams_.push_back(stream);
}

void PrefixIndex::sweep() {
  if (garbage_ == 0) return;
  table_.sweep(kSweepSlots, [this](SetId set) { return without_garbage(set); });
}

SetId PrefixIndex::without_garbage(SetId set) {
  absl::InlinedVector<HolderId, 8> dead;
  for (const HolderId id : sets_.members(set)) {
    if (!streams_[id].live) dead.push_back(id);
  }
  for (const HolderId id : dead) {
    set = sets_.remove(set, id);
    forget_block(id);
  }
  return set;
}

bool PrefixIndex::any_live(std::span<const HolderId> holders) const {
  return std::ranges::any_of(holders, [&](HolderId id) { return streams_[id].live; });
}

}  // namespace mooncake::kvcache
