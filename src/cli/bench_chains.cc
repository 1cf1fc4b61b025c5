#include "cli/bench_chains.h"

#include <algorithm>

namespace mooncake::cli {

BenchChains::BenchChains(std::uint64_t blocks, std::uint32_t nodes, std::uint64_t seed) : nodes_(nodes) {
  // Each sharer has its own blocks, and a share of the common ones.
  constexpr std::uint64_t kGroupBlocks = kSharers * (kChainBlocks - kSharedBlocks) + kSharedBlocks;
  const std::uint64_t chains = std::max<std::uint64_t>(1, blocks * kSharers / kGroupBlocks);
  const std::uint64_t groups = std::max<std::uint64_t>(1, chains / kSharers);
  Rng rng(seed);
  const std::uint64_t shared_seed = rng.next();
  holders_.reserve(chains);
  keys_.reserve(chains * kChainBlocks);
  for (std::uint64_t i = 0; i < chains; ++i) {
    holders_.push_back(static_cast<std::uint32_t>(rng.below(nodes)));
    Rng shared(splitmix64(shared_seed ^ rng.below(groups)));
    for (std::uint32_t block = 0; block < kChainBlocks; ++block) {
      keys_.push_back(random_key(block < kSharedBlocks ? shared : rng));
    }
  }
}

}  // namespace mooncake::cli
