// BenchChains: the cached prompts that `mooncake bench conductor` measures with.
//
// A prompt has kChainBlocks blocks. The first kSharedBlocks are those of about kSharers prompts (a system prompt,
// earlier turns), the others its own. Each prompt lies on one node, every fourth on a second one too. Prompts that
// share a prefix are stored at random times, on random nodes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/key128.h"
#include "base/rng.h"

namespace mooncake::cli {

class BenchChains {
 public:
  static constexpr std::uint32_t kChainBlocks = 24;
  static constexpr std::uint32_t kSharedBlocks = 8;
  static constexpr std::uint32_t kSharers = 16;

  /// Prompts with about `blocks` different blocks in all, on `nodes` nodes. The same seed makes the same prompts.
  BenchChains(std::uint64_t blocks, std::uint32_t nodes, std::uint64_t seed);

  /// How many prompts there are; at least one.
  [[nodiscard]] std::size_t size() const { return holders_.size(); }
  /// The keys of one.
  [[nodiscard]] std::span<const Key128> chain(std::size_t number) const {
    return std::span(keys_).subspan(number * kChainBlocks, kChainBlocks);
  }
  /// Calls `store(node, keys)` for every prompt and every node that it lies on. @return keys passed in all.
  template <typename Store>
  std::uint64_t for_each_stored(Store store) const {
    std::uint64_t keys = 0;
    for (std::size_t i = 0; i < size(); ++i) {
      store(holders_[i], chain(i));
      keys += kChainBlocks;
      if (i % 4 != 0 || nodes_ == 1) continue;
      store((holders_[i] + 1) % nodes_, chain(i));
      keys += kChainBlocks;
    }
    return keys;
  }

 private:
  std::uint32_t nodes_;
  std::vector<std::uint32_t> holders_;
  std::vector<Key128> keys_;
};

/// A key that looks like a hash.
inline Key128 random_key(Rng& rng) {
  const std::uint64_t high = rng.next();
  return {.high = high, .low = rng.next()};
}

}  // namespace mooncake::cli
