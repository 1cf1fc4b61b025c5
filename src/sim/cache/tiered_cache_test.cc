#include "sim/cache/tiered_cache.h"

#include <gtest/gtest.h>

#include <set>

#include "base/rng.h"

namespace mooncake::sim {
namespace {

TieredCache cache_of(std::uint64_t memory_blocks, std::uint64_t ssd_blocks) {
  const auto tier = [](std::uint64_t blocks) {
    return BlockCache(blocks, std::move(store::make_eviction_policy("lru").value()));
  };
  if (ssd_blocks == 0) return {tier(memory_blocks), std::nullopt};
  return {tier(memory_blocks), tier(ssd_blocks)};
}

TEST(TieredCache, WhatMemoryEvictsIsOnSsd) {
  TieredCache cache = cache_of(1, 2);
  EXPECT_TRUE(cache.use(1, 0).stored);
  EXPECT_EQ(cache.use(2, 0).demoted, 1u);
  EXPECT_TRUE(cache.only_on_ssd(1));
  EXPECT_FALSE(cache.only_on_ssd(2)) << "it is on SSD as well, and memory is faster";
  const TieredCache::Used third = cache.use(3, 0);
  EXPECT_EQ(third.demoted, 2u);
  EXPECT_EQ(third.ssd_lost, 1u);
  EXPECT_FALSE(cache.contains(1));
}

TEST(TieredCache, AUseBringsABlockBackIntoMemory) {
  TieredCache cache = cache_of(1, 3);
  cache.use(1, 0);
  cache.use(2, 0);
  const TieredCache::Used used = cache.use(1, 0);
  EXPECT_TRUE(used.stored);
  EXPECT_EQ(used.demoted, 2u);
  EXPECT_FALSE(cache.only_on_ssd(1));
}

TEST(TieredCache, WhatAnotherNodeReadsStaysWhereItIs) {
  TieredCache cache = cache_of(1, 2);
  cache.use(1, 0);
  cache.use(2, 0);
  cache.read(1, 0);
  EXPECT_TRUE(cache.only_on_ssd(1));
  EXPECT_EQ(cache.use(3, 0).demoted, std::nullopt) << "2 went from both: 1 was read after it";
  EXPECT_TRUE(cache.contains(1));
}

TEST(TieredCache, WithoutSsdsWhatIsEvictedIsGone) {
  TieredCache cache = cache_of(1, 0);
  cache.use(1, 0);
  const TieredCache::Used used = cache.use(2, 0);
  EXPECT_EQ(used.memory_lost, 1u);
  EXPECT_FALSE(cache.contains(1));
}

TEST(TieredCache, WhatItSaysAddsUpToWhatItHolds) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Rng rng(seed);
    TieredCache cache = cache_of(1 + rng.below(20), rng.below(30));  // SSDs that are smaller than memory, too
    std::set<TraceBlock> memory;
    std::set<TraceBlock> ssd;
    for (int i = 0; i < 2'000; ++i) {
      const auto block = static_cast<TraceBlock>(rng.below(60));
      if (rng.below(4) == 0) {
        if (cache.contains(block)) cache.read(block, 0);
      } else {
        const TieredCache::Used used = cache.use(block, 0);
        EXPECT_EQ(used.stored, !memory.contains(block));
        if (used.demoted) {
          EXPECT_EQ(memory.erase(*used.demoted), 1u);
          ssd.insert(*used.demoted);
        }
        EXPECT_TRUE(!used.memory_lost || memory.erase(*used.memory_lost) == 1);
        EXPECT_TRUE(!used.ssd_lost || ssd.erase(*used.ssd_lost) == 1);
        memory.insert(block);
        ssd.erase(block);
      }
      for (TraceBlock any = 0; any < 60; ++any) {
        ASSERT_EQ(cache.only_on_ssd(any), ssd.contains(any));
        ASSERT_EQ(cache.contains(any), ssd.contains(any) || memory.contains(any));
      }
    }
  }
}

}  // namespace
}  // namespace mooncake::sim
