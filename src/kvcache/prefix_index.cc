#include "kvcache/prefix_index.h"

#include <absl/container/inlined_vector.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace mooncake::kvcache {
namespace {

// Slots looked at with every change while there is garbage. A round of the table is then done after an eighth as many
// changes as it has slots, so no more than that many new blocks can turn into garbage meanwhile.
constexpr std::size_t kSweepSlots = 8;

// Keys whose slots are loaded at once. A load takes twenty times as long as the work on one key, and a core has about
// this many under way.
constexpr std::size_t kWindowKeys = 24;

// Cuts the next keys off `keys`.
std::span<const Key128> take_window(std::span<const Key128>& keys) {
  const auto window = keys.first(std::min(kWindowKeys, keys.size()));
  keys = keys.subspan(window.size());
  return window;
}

}  // namespace

// A walk along a chain: whose prefix ends where.
class PrefixIndex::Walk {
 public:
  explicit Walk(const PrefixIndex& index) : index_(index) { match_.blocks_by_node.resize(index.nodes_.size()); }

  // The next block's holders. Most blocks have those of the block before, and then no prefix ends.
  // @return false, without counting the block, if nobody holds it.
  bool step(SetId set) {
    if (set != set_ || set == HolderSets::kNobody) {
      set_ = set;
      if (!narrow(index_.sets_.members(set))) return false;
    }
    ++match_.blocks_any;
    return true;
  }

  PrefixMatch finish() && {
    for (const HolderId id : unbroken_) end_here(id);
    return std::move(match_);
  }

 private:
  bool narrow(std::span<const HolderId> holders) {
    const auto is_live = [&](HolderId id) { return index_.streams_[id].live; };
    if (std::ranges::none_of(holders, is_live)) return false;
    if (match_.blocks_any == 0) {
      std::ranges::copy_if(holders, std::back_inserter(unbroken_), is_live);
      return true;
    }
    auto holder = holders.begin();  // both ascend
    auto kept = unbroken_.begin();
    for (const HolderId id : unbroken_) {
      holder = std::lower_bound(holder, holders.end(), id);
      if (holder != holders.end() && *holder == id) {
        *kept++ = id;
      } else {
        end_here(id);
      }
    }
    unbroken_.erase(kept, unbroken_.end());
    return true;
  }
  void end_here(HolderId id) { match_.blocks_by_node[index_.streams_[id].node] = match_.blocks_any; }

  const PrefixIndex& index_;
  PrefixMatch match_;
  absl::InlinedVector<HolderId, 32> unbroken_;  // live holders of every block so far, ascending
  SetId set_ = HolderSets::kNobody;             // of the block before
};

void PrefixIndex::add(std::uint32_t node, std::span<const Key128> keys) {
  const HolderId stream = stream_of(node);
  while (!keys.empty()) {
    const auto window = take_window(keys);
    prefetch(window);
    for (const Key128& key : window) {
      sweep();
      add_to(stream, key);
    }
  }
}

void PrefixIndex::remove(std::uint32_t node, std::span<const Key128> keys) {
  if (node >= nodes_.size()) return;
  while (!keys.empty()) {
    const auto window = take_window(keys);
    prefetch(window);
    for (const Key128& key : window) {
      sweep();
      remove_from(nodes_[node], key);
    }
  }
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

std::uint32_t PrefixIndex::count(std::uint32_t node, std::span<const Key128> keys) const {
  if (size(node) == 0) return 0;
  return static_cast<std::uint32_t>(std::ranges::count_if(keys, [&](const Key128& key) { return holds(node, key); }));
}

// Waits for slots first and then for sets, each time for all of a window together.
PrefixMatch PrefixIndex::match(std::span<const Key128> chain) const {
  Walk walk(*this);
  std::array<SetId, kWindowKeys> sets;
  while (!chain.empty()) {
    const auto window = take_window(chain);
    prefetch(window);
    for (std::size_t i = 0; i < window.size(); ++i) {
      sets[i] = table_.get(slot_key(window[i]));
      sets_.prefetch(sets[i]);
    }
    const auto here = std::span(sets).first(window.size());
    if (!std::ranges::all_of(here, [&](SetId set) { return walk.step(set); })) break;
  }
  return std::move(walk).finish();
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
  table_.update(slot_key(key), [&](SetId set) {
    const SetId with = sets_.add(set, stream);
    if (with != set) ++streams_[stream].blocks;
    return with;
  });
}

void PrefixIndex::remove_from(HolderId stream, const Key128& key) {
  table_.update(slot_key(key), [&](SetId set) {
    const SetId without = sets_.remove(set, stream);
    if (without != set) forget_block(stream);
    return without;
  });
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

void PrefixIndex::prefetch(std::span<const Key128> window) const {
  for (const Key128& key : window) table_.prefetch(slot_key(key));
}

}  // namespace mooncake::kvcache
