#include "sim/cache/block_cache.h"

#include "base/check.h"

namespace mooncake::sim {

BlockCache::BlockCache(std::optional<std::uint64_t> capacity_blocks, std::unique_ptr<store::EvictionPolicy> policy)
    : capacity_blocks_(capacity_blocks), policy_(std::move(policy)) {
  CHECK(!capacity_blocks || (*capacity_blocks > 0 && policy_ != nullptr));
}

// Not inline: GCC 12 takes the table that is left behind by a move for one that is freed (-Wfree-nonheap-object).
BlockCache::BlockCache(BlockCache&&) noexcept = default;
BlockCache& BlockCache::operator=(BlockCache&&) noexcept = default;
BlockCache::~BlockCache() = default;

BlockCache::Used BlockCache::use(TraceBlock block, std::uint32_t depth) {
  const store::EvictionPolicy::Use use{.key = block, .depth = depth};
  if (const auto found = slots_.find(block); found != slots_.end()) {
    if (capacity_blocks_) policy_->touch(found->second, use);
    return {.hit = true};
  }
  Used used;
  auto slot = static_cast<Slot>(blocks_.size());
  if (capacity_blocks_ && slots_.size() == *capacity_blocks_) {
    slot = policy_->evict([](Slot) { return true; }).value();
    used.evicted = blocks_[slot];
    CHECK(slots_.erase(blocks_[slot]) == 1);
    blocks_[slot] = block;
  } else {
    blocks_.push_back(block);
  }
  slots_.emplace(block, slot);
  if (capacity_blocks_) policy_->insert(slot, use);
  return used;
}

}  // namespace mooncake::sim
