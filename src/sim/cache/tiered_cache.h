// TieredCache: the blocks that one simulated node holds, in memory and, if it has them, on SSDs below.
//
// Every block is written to the SSDs when it comes in, and stays there when memory evicts it; each tier has a policy of
// its own and sees every use. So the SSDs are worth having if they hold more than memory does.
//
// Thread-compatible. O(1) a use, plus what the policies need.
#pragma once

#include <optional>
#include <span>

#include "sim/cache/block_cache.h"

namespace mooncake::sim {

class TieredCache {
 public:
  /// What a use did to blocks.
  struct Used {
    bool stored = false;                      ///< it came into memory
    std::optional<TraceBlock> demoted{};      ///< went from memory and is on SSD still
    std::optional<TraceBlock> memory_lost{};  ///< went from memory and is nowhere now
    std::optional<TraceBlock> ssd_lost{};     ///< went from the SSDs and is nowhere now
  };

  /// Without `ssd`, what memory evicts is gone.
  TieredCache(BlockCache memory, std::optional<BlockCache> ssd);

  [[nodiscard]] bool contains(TraceBlock block) const { return memory_.contains(block) || on_ssd(block); }
  /// On SSD and not in memory.
  [[nodiscard]] bool only_on_ssd(TraceBlock block) const { return !memory_.contains(block) && on_ssd(block); }
  [[nodiscard]] bool has_ssd() const { return ssd_.has_value(); }
  /// As BlockCache::use(): the block is in memory afterwards.
  Used use(TraceBlock block, std::uint32_t depth);
  /// What is on the SSDs, in memory or not.
  [[nodiscard]] std::span<const TraceBlock> ssd_blocks() const;
  /// The SSDs, if there are any; then there are none.
  std::optional<BlockCache> take_ssd();
  /// A block that is here is read by another node: it stays in the tiers where it is.
  void read(TraceBlock block, std::uint32_t depth);

 private:
  [[nodiscard]] bool on_ssd(TraceBlock block) const { return ssd_ && ssd_->contains(block); }

  BlockCache memory_;
  std::optional<BlockCache> ssd_;
};

}  // namespace mooncake::sim
