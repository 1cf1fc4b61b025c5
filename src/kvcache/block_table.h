// BlockTable: a flat hash table from block keys to small numbers. Open addressing, linear probing from the start of a
// cache line, so that nine keys in ten are found in the one line that was loaded; 16 bytes a slot:
//
//   slot    find: 64 bits | check: 32 bits | value: 32 bits      value 0: the slot is free
//
// `find` folds the key's two halves, `check` repeats 32 bits of one. A slot thus tells keys apart by 96 of their 128
// bits, and two keys that agree in those share one entry. Among ten million keys the chance that any two do is 1e-15.
//
// Slots are ordered by `find` but for collisions, so growing copies from front to back. The table is cut into kShards
// parts that grow one at a time: the pause of a growth is that of a part, about 10 ms at ten million keys, where a part
// is one huge page; half of it is the system's, which zeroes the new pages. Between 0.4 and 0.8 of the slots are taken
// once a part has grown, which is 20 to 40 bytes a key. It never shrinks: an index that has held so much will again.
//
// What a lookup costs is the cache miss, so callers who know which keys come next `prefetch` them. Thread-compatible.
#pragma once

#include <absl/functional/function_ref.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/key128.h"
#include "kvcache/prefetch.h"
#include "kvcache/zeroed_array.h"

namespace mooncake::kvcache {

/// The bits of a key that a slot holds.
struct SlotKey {
  std::uint64_t find = 0;
  std::uint32_t check = 0;

  bool operator==(const SlotKey&) const = default;
};

/// Keys are hashes already; the multiplication is for callers whose keys are one hash and a counter.
constexpr SlotKey slot_key(const Key128& key) {
  return {.find = key.high ^ (key.low * 0x9e3779b97f4a7c15ULL), .check = static_cast<std::uint32_t>(key.low)};
}

class BlockTable {
 public:
  /// The key's value; 0 if it has none.
  [[nodiscard]] std::uint32_t get(const SlotKey& key) const {
    const Shard& shard = shards_[shard_of(key)];
    return shard.slots[shard.seek(key)].value;
  }
  /// Replaces the key's value by `change(value)`, where 0 stands for a key without one. `change` must not call the
  /// table. Amortized O(1).
  template <typename Change>
  void update(const SlotKey& key, Change change);
  /// Starts to load the key's slot into the CPU's cache.
  void prefetch(const SlotKey& key) const {
    const Shard& shard = shards_[shard_of(key)];
    prefetch_line(&shard.slots[shard.home(key.find)]);
  }

  /// Visits the next `slots` slots, going round the table, and replaces each value by what `replace` makes of it (0
  /// forgets the key). A whole round visits every key, but for keys that `update` moved meanwhile. O(slots).
  void sweep(std::size_t slots, absl::FunctionRef<std::uint32_t(std::uint32_t)> replace);

  /// Keys with a value. O(1).
  [[nodiscard]] std::size_t size() const { return size_; }
  /// Slots, taken and free. O(kShards).
  [[nodiscard]] std::size_t capacity() const;

 private:
  static constexpr int kShardBits = 7;
  static constexpr std::size_t kShards = std::size_t{1} << kShardBits;
  static constexpr std::size_t kShardSlotsMin = 8;
  static constexpr std::size_t kLineSlots = 4;

  struct alignas(16) Slot {
    std::uint64_t find = 0;
    std::uint32_t check = 0;
    std::uint32_t value = 0;
  };

  struct Shard {
    ZeroedArray<Slot> slots{kShardSlotsMin};  // a power of two of them
    std::size_t size = 0;
    int line_shift = 64 - std::countr_zero(kShardSlotsMin / kLineSlots);

    /// The first slot of the line where the search for a key begins.
    [[nodiscard]] std::size_t home(std::uint64_t find) const {
      return ((find << kShardBits) >> line_shift) * kLineSlots;
    }
    [[nodiscard]] std::size_t next(std::size_t at, std::size_t by) const { return (at + by) & (slots.size() - 1); }
    /// Where the key is, or else the free slot where it belongs.
    [[nodiscard]] std::size_t seek(const SlotKey& key) const;
    // Beyond 4/5 the runs that a search walks along grow long.
    [[nodiscard]] bool is_full() const { return size * 5 >= slots.size() * 4; }
    void erase(std::size_t at);
    void grow();
  };

  [[nodiscard]] static std::size_t shard_of(const SlotKey& key) { return key.find >> (64 - kShardBits); }

  std::array<Shard, kShards> shards_;
  std::size_t size_ = 0;
  std::size_t sweep_shard_ = 0;
  std::size_t sweep_slot_ = 0;
};

// Looks at the four slots of a line at once: which one it is cannot be predicted, so a branch for each costs more.
inline std::size_t BlockTable::Shard::seek(const SlotKey& key) const {
  for (std::size_t line = home(key.find);; line = next(line, kLineSlots)) {
    unsigned stops = 0;
#pragma GCC unroll 4
    for (unsigned i = 0; i < kLineSlots; ++i) {
      const Slot& slot = slots[line + i];
      const std::uint64_t difference = (slot.find ^ key.find) | (slot.check ^ key.check);
      stops |= static_cast<unsigned>((difference == 0) | (slot.value == 0)) << i;
    }
    if (stops != 0) return line + static_cast<std::size_t>(std::countr_zero(stops));
  }
}

template <typename Change>
void BlockTable::update(const SlotKey& key, Change change) {
  Shard& shard = shards_[shard_of(key)];
  if (shard.is_full()) shard.grow();
  const std::size_t at = shard.seek(key);
  const std::uint32_t before = shard.slots[at].value;
  const std::uint32_t after = change(before);
  if (after == before) return;
  if (after == 0) {
    shard.erase(at);
    --size_;
    return;
  }
  shard.slots[at] = {.find = key.find, .check = key.check, .value = after};
  if (before != 0) return;
  ++shard.size;
  ++size_;
}

}  // namespace mooncake::kvcache
