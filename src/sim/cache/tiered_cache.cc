#include "sim/cache/tiered_cache.h"

#include <utility>

namespace mooncake::sim {

TieredCache::TieredCache(BlockCache memory, std::optional<BlockCache> ssd)
    : memory_(std::move(memory)), ssd_(std::move(ssd)) {}

TieredCache::Used TieredCache::use(TraceBlock block, std::uint32_t depth) {
  const BlockCache::Used memory = memory_.use(block, depth);
  Used used{.stored = !memory.hit};
  if (!ssd_) {
    used.memory_lost = memory.evicted;
    return used;
  }
  const BlockCache::Used ssd = ssd_->use(block, depth);
  if (memory.evicted) (on_ssd(*memory.evicted) ? used.demoted : used.memory_lost) = memory.evicted;
  if (ssd.evicted && !memory_.contains(*ssd.evicted) && ssd.evicted != used.memory_lost) used.ssd_lost = ssd.evicted;
  return used;
}

std::span<const TraceBlock> TieredCache::ssd_blocks() const {
  return ssd_ ? ssd_->blocks() : std::span<const TraceBlock>();
}

std::optional<BlockCache> TieredCache::take_ssd() { return std::exchange(ssd_, std::nullopt); }

void TieredCache::read(TraceBlock block, std::uint32_t depth) {
  if (memory_.contains(block)) memory_.use(block, depth);
  if (on_ssd(block)) ssd_->use(block, depth);
}

}  // namespace mooncake::sim
