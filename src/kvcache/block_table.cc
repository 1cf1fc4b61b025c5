#include "kvcache/block_table.h"

namespace mooncake::kvcache {

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

// Moves later keys of the run up instead of leaving a mark, so that lookups never walk over what is gone (Knuth, The
// Art of Computer Programming, volume 3, algorithm 6.4R).
void BlockTable::Shard::erase(std::size_t at) {
  const std::size_t mask = slots.size() - 1;
  std::size_t hole = at;
  for (std::size_t i = next(hole, 1); slots[i].value != 0; i = next(i, 1)) {
    const std::size_t steps_from_home = (i - home(slots[i].find)) & mask;
    const std::size_t steps_from_hole = (i - hole) & mask;
    if (steps_from_home < steps_from_hole) continue;  // its home lies behind the hole
    slots[hole] = slots[i];
    hole = i;
  }
  slots[hole] = {};
  --size;
}

void BlockTable::Shard::grow() {
  ZeroedArray<Slot> old(slots.size() * 2);
  old.swap(slots);
  --line_shift;
  for (const Slot& slot : old) {
    if (slot.value != 0) slots[seek({slot.find, slot.check})] = slot;
  }
}

}  // namespace mooncake::kvcache
