// PrefillNode: one prefill instance of a simulated cluster with its cache and its link.
//
// Thread-compatible.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/key128.h"
#include "base/rng.h"
#include "conductor/conductor.h"
#include "conductor/local/prefill_queue.h"
#include "sim/cache/block_cache.h"
#include "sim/cluster/link.h"
#include "sim/trace/trace.h"

namespace mooncake::sim {

/// The key under which the Conductor knows a block of a trace.
constexpr Key128 key_of(TraceBlock block) { return {splitmix64(block), block}; }
/// The block of a key that key_of() made.
constexpr TraceBlock block_of(const Key128& key) { return static_cast<TraceBlock>(key.low); }

class PrefillNode {
 public:
  PrefillNode(conductor::NodeId id, BlockCache cache, Link out) : link(out), id_(id), cache_(std::move(cache)) {}

  [[nodiscard]] bool has(TraceBlock block) const { return cache_.contains(block); }
  /// Leading blocks that a prompt finds: each in the cache, or among [fetched_from, fetched_to) which were brought
  /// here.
  [[nodiscard]] std::uint32_t leading(std::span<const TraceBlock> blocks, std::uint32_t fetched_from,
                                      std::uint32_t fetched_to) const;
  /// Uses blocks of a prompt, of which the first is its `first`-th, as a prefill that ends does. @return what the store
  /// would tell the Conductor of it.
  std::vector<conductor::CacheEvent> use(std::span<const TraceBlock> blocks, std::uint32_t first = 0);
  /// Uses those of the blocks that are here, as a node does that is read by another.
  void read(std::span<const TraceBlock> blocks, std::uint32_t first = 0);

  /// Without limit: whom to refuse is the Conductor's business here, and what is compared.
  conductor::PrefillQueue queue{SIZE_MAX};
  Link link;  ///< out

 private:
  conductor::NodeId id_;
  BlockCache cache_;
};

}  // namespace mooncake::sim
