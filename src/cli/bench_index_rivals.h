// What the prefix index is compared with in `mooncake bench conductor`, and used nowhere else: two obvious ways to know
// which nodes hold which prefix. Both give the same answers as kvcache::PrefixIndex for chains that are stored whole.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/container/inlined_vector.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>

#include "base/key128.h"
#include "kvcache/prefix_index.h"

namespace mooncake::cli {

/// Counts block `depth` for those of `holders` that held all before. @return false if there are no holders.
template <typename Holders>
bool count_block(const Holders& holders, std::uint32_t depth, kvcache::PrefixMatch& match) {
  if (holders.empty()) return false;
  for (const std::uint32_t node : holders) {
    if (node >= match.blocks_by_node.size()) match.blocks_by_node.resize(node + 1);
    std::uint32_t& blocks = match.blocks_by_node[node];
    if (blocks == depth) blocks = depth + 1;
  }
  match.blocks_any = depth + 1;
  return true;
}

/// A hash map from keys to hash sets of nodes.
class HashMapIndex {
 public:
  void add(std::uint32_t node, std::span<const Key128> keys) {
    for (const Key128& key : keys) holders_[key].insert(node);
  }
  [[nodiscard]] kvcache::PrefixMatch match(std::span<const Key128> chain) const {
    kvcache::PrefixMatch match;
    for (std::uint32_t depth = 0; depth < chain.size(); ++depth) {
      const auto at = holders_.find(chain[depth]);
      if (at == holders_.end() || !count_block(at->second, depth, match)) break;
    }
    return match;
  }

 private:
  absl::flat_hash_map<Key128, absl::flat_hash_set<std::uint32_t>> holders_;
};

/// A tree with a node for each block, which knows its holders and, by key, the blocks that follow it.
class RadixTreeIndex {
 public:
  void add(std::uint32_t node, std::span<const Key128> keys) {
    Block* block = &root_;
    for (const Key128& key : keys) {
      std::unique_ptr<Block>& child = block->children[key];
      if (child == nullptr) child = std::make_unique<Block>();
      block = child.get();
      if (std::ranges::find(block->holders, node) == block->holders.end()) block->holders.push_back(node);
    }
  }
  [[nodiscard]] kvcache::PrefixMatch match(std::span<const Key128> chain) const {
    kvcache::PrefixMatch match;
    const Block* block = &root_;
    for (std::uint32_t depth = 0; depth < chain.size(); ++depth) {
      const auto child = block->children.find(chain[depth]);
      if (child == block->children.end()) break;
      block = child->second.get();
      if (!count_block(block->holders, depth, match)) break;
    }
    return match;
  }

 private:
  struct Block {
    absl::InlinedVector<std::uint32_t, 2> holders;
    absl::flat_hash_map<Key128, std::unique_ptr<Block>> children;
  };

  Block root_;
};

}  // namespace mooncake::cli
