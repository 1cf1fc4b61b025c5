// PrefixIndex: which nodes hold which blocks, and so how long a prefix of a prompt each of them could serve.
//
// The keys are chained hashes, so no tree is needed: the prefix a node holds is the run of leading keys of the prompt
// that it holds. A flat table maps a key to a set of holders (block_table.h), and blocks with the same holders share
// one set (holder_sets.h). Nodes evict blocks in any order, so a node may hold a block without its parent; such a block
// counts again once the parent is back.
//
// What a node reports between two clears is a stream, and streams, not nodes, are the holders. Clearing a node (it
// crashed, or its events must be read again) takes O(1): the node gets a new stream, what is left of the old one is
// garbage that lookups pass over, and every later change sweeps a few slots of the table. So there is no reverse map.
// Garbage of nodes that are cleared again and again stays below 1/8 of the slots.
//
// The table tells keys apart by 96 of their 128 bits. Two keys that agree in those are one block here: removing one
// removes both, and a prediction is wrong; the store compares all bits when blocks are fetched.
//
// Pure: no clock, no thread, no I/O. Thread-compatible. 20 to 40 bytes a block, plus 60 or so for each different set.
// Source: docs/conductor.md, prefix index; docs/adr/0009-prefix-index.md.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/key128.h"
#include "kvcache/block_table.h"
#include "kvcache/holder_sets.h"

namespace mooncake::kvcache {

/// How far a chain of block keys is cached.
struct PrefixMatch {
  std::vector<std::uint32_t> blocks_by_node;  ///< index: node; nodes beyond the end hold none
  std::uint32_t blocks_any = 0;               ///< leading blocks of which each is held by some node

  /// Leading blocks that `node` alone holds.
  [[nodiscard]] std::uint32_t blocks(std::uint32_t node) const {
    return node < blocks_by_node.size() ? blocks_by_node[node] : 0;
  }
};

class PrefixIndex {
 public:
  /// Node numbers are dense indices given by the owner, below this: they size a table.
  static constexpr std::uint32_t kNodesMax = 1u << 16;

  /// `node` holds `key` from now on. Repeating it changes nothing. O(holders of the key).
  void add(std::uint32_t node, const Key128& key) { add(node, std::span(&key, 1)); }
  /// The same for many keys, and about twice as fast: their slots are loaded together.
  void add(std::uint32_t node, std::span<const Key128> keys);
  /// `node` no longer holds `key`. Unknown pairs are ignored. O(holders of the key).
  void remove(std::uint32_t node, const Key128& key) { remove(node, std::span(&key, 1)); }
  /// The same for many keys.
  void remove(std::uint32_t node, std::span<const Key128> keys);
  /// `node` holds nothing from now on. O(1).
  void clear(std::uint32_t node);

  /// True if `node` holds `key`.
  [[nodiscard]] bool holds(std::uint32_t node, const Key128& key) const;
  /// How many of `keys` `node` holds. O(keys).
  [[nodiscard]] std::uint32_t count(std::uint32_t node, std::span<const Key128> keys) const;
  /// The longest prefix of `chain` that each node holds, and that all hold together. O(length of it + nodes + holders
  /// of each block whose holders differ from the block's before).
  [[nodiscard]] PrefixMatch match(std::span<const Key128> chain) const;

  /// Blocks that `node` holds. O(1).
  [[nodiscard]] std::size_t size(std::uint32_t node) const;
  /// Keys in the table, garbage of cleared nodes included. O(1).
  [[nodiscard]] std::size_t key_count() const { return table_.size(); }
  /// Different sets of holders. O(1).
  [[nodiscard]] std::size_t set_count() const { return sets_.size(); }

 private:
  class Walk;
  struct Stream {
    std::uint32_t node = 0;
    bool live = false;
    std::uint64_t blocks = 0;  // in the table
  };

  HolderId start_stream(std::uint32_t node);
  HolderId stream_of(std::uint32_t node);
  void add_to(HolderId stream, const Key128& key);
  void remove_from(HolderId stream, const Key128& key);
  void forget_block(HolderId stream);
  void sweep();
  SetId without_garbage(SetId set);
  void prefetch(std::span<const Key128> window) const;

  BlockTable table_;
  HolderSets sets_;
  std::vector<HolderId> nodes_;         // each node's stream
  std::vector<Stream> streams_;         // by HolderId
  std::vector<HolderId> free_streams_;  // neither live nor in the table
  std::uint64_t garbage_ = 0;           // blocks of streams that are not live
};

}  // namespace mooncake::kvcache
