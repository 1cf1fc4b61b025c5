// BlockCache: which blocks of a trace one cache holds. The store's eviction policies decide what goes.
//
// Thread-compatible. O(1) a use, plus what the policy needs.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "sim/trace/trace.h"
#include "store/core/eviction/eviction_policy.h"

namespace mooncake::sim {

class BlockCache {
 public:
  /// What a use did.
  struct Used {
    bool hit = false;
    std::optional<TraceBlock> evicted{};  ///< what went to make room
  };

  /// `capacity_blocks` is at least 1; nothing: without limit, and without need of a policy.
  BlockCache(std::optional<std::uint64_t> capacity_blocks, std::unique_ptr<store::EvictionPolicy> policy);
  BlockCache(BlockCache&&) noexcept;
  BlockCache& operator=(BlockCache&&) noexcept;
  ~BlockCache();

  [[nodiscard]] bool contains(TraceBlock block) const { return slots_.contains(block); }
  /// Uses a block that stands behind `depth` others in its prompt: a hit, or it comes in, and another goes for it if
  /// the cache is full.
  Used use(TraceBlock block, std::uint32_t depth);
  /// What it holds, in no order that means anything.
  [[nodiscard]] std::span<const TraceBlock> blocks() const { return blocks_; }
  [[nodiscard]] std::size_t size() const { return slots_.size(); }

 private:
  using Slot = store::EvictionPolicy::Id;

  std::optional<std::uint64_t> capacity_blocks_;
  std::unique_ptr<store::EvictionPolicy> policy_;
  absl::flat_hash_map<TraceBlock, Slot> slots_;
  std::vector<TraceBlock> blocks_;  // by slot
};

}  // namespace mooncake::sim
