#include "kvcache/prefix_index.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/rng.h"

namespace mooncake::kvcache {
namespace {

Key128 key(std::uint64_t number) { return {splitmix64(number), number}; }

std::vector<Key128> chain(std::uint64_t first, std::uint64_t count) {
  std::vector<Key128> keys;
  for (std::uint64_t i = 0; i < count; ++i) keys.push_back(key(first + i));
  return keys;
}

TEST(PrefixIndex, MatchesTheLongestRunOfLeadingBlocks) {
  PrefixIndex index;
  const auto prompt = chain(0, 4);
  for (const auto& k : prompt) index.add(0, k);
  index.add(1, prompt[0]);
  index.add(1, prompt[2]);  // its parent is missing
  const PrefixMatch match = index.match(prompt);
  EXPECT_EQ(match.blocks(0), 4u);
  EXPECT_EQ(match.blocks(1), 1u);
  EXPECT_EQ(match.blocks(7), 0u);
  index.add(1, prompt[1]);
  EXPECT_EQ(index.match(prompt).blocks(1), 3u) << "the orphan counts again once its parent is back";
}

TEST(PrefixIndex, NodesTogetherHoldMoreThanEachAlone) {
  PrefixIndex index;
  const auto prompt = chain(0, 4);
  index.add(0, prompt[0]);
  index.add(1, prompt[1]);
  index.add(0, prompt[2]);
  const PrefixMatch match = index.match(prompt);
  EXPECT_EQ(match.blocks(0), 1u);
  EXPECT_EQ(match.blocks(1), 0u);
  EXPECT_EQ(match.blocks_any, 3u);
}

TEST(PrefixIndex, RemovingTheLastHolderForgetsTheKey) {
  PrefixIndex index;
  index.add(3, key(1));
  index.add(3, key(1));
  EXPECT_EQ(index.size(3), 1u);
  index.remove(2, key(1));
  index.remove(3, key(2));
  EXPECT_EQ(index.key_count(), 1u);
  index.remove(3, key(1));
  EXPECT_EQ(index.key_count(), 0u);
  EXPECT_EQ(index.match(chain(1, 1)).blocks_any, 0u);
}

TEST(PrefixIndex, ClearedNodeHoldsNothingAtOnceAndItsGarbageIsSwept) {
  PrefixIndex index;
  for (const auto& k : chain(0, 1000)) index.add(0, k);
  index.add(1, key(0));
  index.clear(0);
  EXPECT_EQ(index.size(0), 0u);
  EXPECT_EQ(index.match(chain(0, 1000)).blocks_any, 1u) << "what node 1 holds is still there";
  for (const auto& k : chain(5000, 300)) index.add(2, k);
  EXPECT_EQ(index.key_count(), 301u) << "300 new keys and the one of node 1";
}

TEST(PrefixIndex, NodeThatComesBackHoldsOnlyWhatItReportsAgain) {
  PrefixIndex index;
  const auto prompt = chain(0, 3);
  for (const auto& k : prompt) index.add(0, k);
  index.clear(0);
  index.add(0, prompt[0]);
  index.add(0, prompt[2]);
  EXPECT_EQ(index.match(prompt).blocks(0), 1u);
  index.clear(0);
  EXPECT_EQ(index.match(prompt).blocks(0), 0u);
}

// Compares with the obvious twin, a set of keys for each node, on random changes.
TEST(PrefixIndex, AgreesWithSetsOfKeysOnRandomChanges) {
  Rng rng(7);
  PrefixIndex index;
  std::map<std::uint32_t, std::set<Key128>> twin;
  for (int step = 0; step < 20'000; ++step) {
    const auto node = static_cast<std::uint32_t>(rng.below(5));
    const Key128 k = key(rng.below(40));
    const auto action = rng.below(100);
    if (action < 60) {
      index.add(node, k);
      twin[node].insert(k);
    } else if (action < 97) {
      index.remove(node, k);
      twin[node].erase(k);
    } else {
      index.clear(node);
      twin[node].clear();
    }
    const auto prompt = chain(rng.below(35), 5);
    const PrefixMatch match = index.match(prompt);
    for (std::uint32_t n = 0; n < 5; ++n) {
      std::uint32_t blocks = 0;
      while (blocks < prompt.size() && twin[n].contains(prompt[blocks])) ++blocks;
      ASSERT_EQ(match.blocks(n), blocks) << "step " << step << ", node " << n;
      ASSERT_EQ(index.size(n), twin[n].size());
      ASSERT_EQ(index.holds(n, k), twin[n].contains(k));
    }
    std::uint32_t any = 0;
    const auto held = [&](const Key128& wanted) {
      return std::ranges::any_of(twin, [&](const auto& entry) { return entry.second.contains(wanted); });
    };
    while (any < prompt.size() && held(prompt[any])) ++any;
    ASSERT_EQ(match.blocks_any, any);
  }
}

}  // namespace
}  // namespace mooncake::kvcache
