// PrefixIndex: which nodes hold which blocks, and so how long a prefix of a prompt each of them could serve.
//
// The keys are chained hashes, so no tree is needed: the prefix a node holds is the run of leading keys of the prompt
// that it holds. Nodes evict blocks in any order, so a node may hold a block without its parent; such a block counts
// again once the parent is back. Each node has a generation; clearing a node (it crashed, or its event stream must be
// read again) takes O(1): its generation moves on and what it held becomes garbage, swept a little with every later
// change.
//
// Pure: no clock, no thread, no I/O. Thread-compatible. About 100 bytes a block with one holder.
// Source: docs/conductor.md, prefix index.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/container/inlined_vector.h>

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "base/key128.h"

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
  void add(std::uint32_t node, const Key128& key);
  /// `node` no longer holds `key`. Unknown pairs are ignored. O(holders of the key).
  void remove(std::uint32_t node, const Key128& key);
  /// `node` holds nothing from now on. O(1).
  void clear(std::uint32_t node);

  /// True if `node` holds `key`.
  [[nodiscard]] bool holds(std::uint32_t node, const Key128& key) const;
  /// The longest prefix of `chain` that each node holds, and that all hold together. O(length of it x holders).
  [[nodiscard]] PrefixMatch match(std::span<const Key128> chain) const;

  /// Blocks that `node` holds. O(1).
  [[nodiscard]] std::size_t size(std::uint32_t node) const;
  /// Keys in the table, garbage of cleared nodes included. O(1).
  [[nodiscard]] std::size_t key_count() const { return holders_.size(); }

 private:
  struct Holder {
    std::uint32_t node = 0;
    std::uint32_t generation = 0;
  };
  struct Node {
    std::uint32_t generation = 0;
    absl::flat_hash_set<Key128> keys;  // the reverse map
  };
  struct Garbage {  // what a cleared generation held, to be looked through once
    absl::flat_hash_set<Key128> keys;
    absl::flat_hash_set<Key128>::iterator next;
  };
  using Holders = absl::InlinedVector<Holder, 2>;  // most blocks have one holder, hot ones a few

  [[nodiscard]] bool live(const Holder& holder) const { return nodes_[holder.node].generation == holder.generation; }
  Node& node_at(std::uint32_t node);
  void sweep();

  absl::flat_hash_map<Key128, Holders> holders_;
  std::vector<Node> nodes_;
  std::deque<Garbage> garbage_;
};

}  // namespace mooncake::kvcache
