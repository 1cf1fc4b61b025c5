#include "kvcache/block_table.h"

#include <bit>

namespace mooncake::kvcache {
namespace {

constexpr std::size_t kShardSlotsMin = 8;

// Beyond 4/5 the runs that linear probing walks grow long: a free slot is 13 steps away on average, at 9/10 it is 50.
constexpr bool is_full(std::size_t size, std::size_t slots) { return size * 5 >= slots * 4; }

}  // namespace

BlockTable::BlockTable() {
  for (Shard& shard : shards_) shard.resize(kShardSlotsMin);
}

std::uint32_t BlockTable::get(const SlotKey& key) const {
  const Shard& shard = shards_[shard_of(key)];
  return shard.slots[shard.seek(key)].value;
}

void BlockTable::put(const SlotKey& key, std::uint32_t value) {
  Shard& shard = shards_[shard_of(key)];
  std::size_t at = shard.seek(key);
  const bool known = shard.slots[at].value != 0;
  if (value == 0) {
    if (!known) return;
    shard.erase(at);
    --size_;
    return;
  }
  if (!known) {
    if (is_full(shard.size, shard.slots.size())) {
      shard.resize(shard.slots.size() * 2);
      at = shard.seek(key);
    }
    ++shard.size;
    ++size_;
  }
  shard.slots[at] = {.find = key.find, .check = key.check, .value = value};
}

void BlockTable::prefetch(const SlotKey& key) const {
  const Shard& shard = shards_[shard_of(key)];
  __builtin_prefetch(&shard.slots[shard.home(key.find)]);
}

void BlockTable::sweep(std::size_t slots, absl::FunctionRef<std::uint32_t(std::uint32_t)> replace) {
  for (; slots > 0; --slots) {
    Shard& shard = shards_[sweep_shard_];
    if (sweep_slot_ >= shard.slots.size()) {
      sweep_shard_ = (sweep_shard_ + 1) % kShards;
      sweep_slot_ = 0;
      continue;
    }
    std::uint32_t& value = shard.slots[sweep_slot_].value;
    const std::uint32_t replaced = value == 0 ? 0 : replace(value);
    if (replaced == value) {
      ++sweep_slot_;
    } else if (replaced == 0) {
      shard.erase(sweep_slot_);  // another key may have moved here: the next step looks
      --size_;
    } else {
      value = replaced;
      ++sweep_slot_;
    }
  }
}

std::size_t BlockTable::capacity() const {
  std::size_t slots = 0;
  for (const Shard& shard : shards_) slots += shard.slots.size();
  return slots;
}

std::size_t BlockTable::Shard::seek(const SlotKey& key) const {
  std::size_t at = home(key.find);
  while (slots[at].value != 0 && SlotKey{slots[at].find, slots[at].check} != key) at = next(at);
  return at;
}

// Moves later keys of the run up instead of leaving a mark, so that lookups never walk over what is gone (Knuth, The
// Art of Computer Programming, volume 3, algorithm 6.4R).
void BlockTable::Shard::erase(std::size_t at) {
  const std::size_t mask = slots.size() - 1;
  std::size_t hole = at;
  for (std::size_t i = next(hole); slots[i].value != 0; i = next(i)) {
    const std::size_t steps_from_home = (i - home(slots[i].find)) & mask;
    const std::size_t steps_from_hole = (i - hole) & mask;
    if (steps_from_home < steps_from_hole) continue;  // its home lies behind the hole
    slots[hole] = slots[i];
    hole = i;
  }
  slots[hole] = {};
  --size;
}

void BlockTable::Shard::resize(std::size_t count) {
  std::vector<Slot> old(count);
  old.swap(slots);
  home_shift = 64 - std::countr_zero(count);
  for (const Slot& slot : old) {
    if (slot.value != 0) slots[seek({slot.find, slot.check})] = slot;
  }
}

}  // namespace mooncake::kvcache
