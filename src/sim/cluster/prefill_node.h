// PrefillNode: one prefill instance of a simulated cluster with its cache, its link and its SSDs.
//
// Thread-compatible.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/key128.h"
#include "base/rng.h"
#include "conductor/conductor.h"
#include "conductor/local/prefill_queue.h"
#include "sim/cache/tiered_cache.h"
#include "sim/cluster/link.h"
#include "sim/trace/trace.h"

namespace mooncake::sim {

/// The key under which the Conductor knows a block of a trace.
constexpr Key128 key_of(TraceBlock block) { return {splitmix64(block), block}; }
/// The block of a key that key_of() made.
constexpr TraceBlock block_of(const Key128& key) { return static_cast<TraceBlock>(key.low); }

/// Blocks of a prompt, by their places in it, that were brought for it and that no cache can take from it any more.
struct Brought {
  std::uint32_t fetched_from = 0;  ///< [from, to) from another node
  std::uint32_t fetched_to = 0;
  std::vector<bool> read{};  ///< from the own node's SSDs; places beyond the end were not

  [[nodiscard]] bool holds(std::uint32_t place) const {
    return (fetched_from <= place && place < fetched_to) || (place < read.size() && read[place]);
  }
};

class PrefillNode {
 public:
  PrefillNode(conductor::NodeId id, TieredCache cache, Link out, Link ssds);

  [[nodiscard]] bool has(TraceBlock block) const { return cache_.contains(block); }
  /// It would have to be read from SSD.
  [[nodiscard]] bool only_on_ssd(TraceBlock block) const { return cache_.only_on_ssd(block); }
  [[nodiscard]] bool has_ssd() const { return cache_.has_ssd(); }
  /// Leading blocks that a prompt finds: each in the cache, or among what was brought for it.
  [[nodiscard]] std::uint32_t leading(std::span<const TraceBlock> blocks, const Brought& brought) const;
  /// Uses blocks of a prompt, of which the first is its `first`-th, as a prefill that ends does. @return what the store
  /// would tell the Conductor of it.
  std::vector<conductor::CacheEvent> use(std::span<const TraceBlock> blocks, std::uint32_t first = 0);
  /// What its SSDs hold, as the store of a node that has come back tells the Conductor.
  [[nodiscard]] std::vector<conductor::CacheEvent> found_on_ssd() const;
  /// The SSDs' part of the cache, if it has one: it outlives the node's process.
  std::optional<BlockCache> take_ssd() { return cache_.take_ssd(); }
  /// What was sent to another node.
  struct Sent {
    Instant arrives{};
    std::uint32_t from_ssd = 0;  ///< blocks
  };
  /// Sends blocks, of `block_bytes` each, the first of them the `first`-th of its prompt, and uses those that are here.
  /// What is on its SSDs only is read while the rest is sent.
  Sent send(std::span<const TraceBlock> blocks, double block_bytes, Instant now, std::uint32_t first = 0);

  /// Without limit: whom to refuse is the Conductor's business here, and what is compared.
  conductor::PrefillQueue queue{SIZE_MAX};
  Link link;  ///< out
  Link ssd;   ///< into memory

 private:
  conductor::NodeId id_;
  TieredCache cache_;
};

}  // namespace mooncake::sim
