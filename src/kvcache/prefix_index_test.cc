#include "kvcache/prefix_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <span>
#include <vector>

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

TEST(PrefixIndex, CountsWhatANodeHoldsOfAChainWithItsGaps) {
  PrefixIndex index;
  const auto keys = chain(1, 10);
  index.add(1, std::span(keys).first(3));
  index.add(1, std::span(keys).last(2));
  EXPECT_EQ(index.count(1, keys), 5u);
  EXPECT_EQ(index.count(0, keys), 0u);
  EXPECT_EQ(index.count(7, keys), 0u) << "never heard of";
  index.clear(1);
  EXPECT_EQ(index.count(1, keys), 0u);
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
  for (const auto& k : chain(5000, 600)) index.add(2, k);
  EXPECT_EQ(index.key_count(), 601u) << "600 new keys and the one of node 1";
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

TEST(PrefixIndex, AThousandHoldersOfABlockAreAllKnown) {
  PrefixIndex index;
  const auto prompt = chain(0, 3);
  for (std::uint32_t node = 0; node < 1000; ++node) index.add(node, std::span(prompt).first(1 + node % 3));
  const PrefixMatch match = index.match(prompt);
  for (std::uint32_t node = 0; node < 1000; ++node) EXPECT_EQ(match.blocks(node), 1 + node % 3) << node;
  EXPECT_EQ(match.blocks_any, 3u);
}

TEST(PrefixIndex, ManyKeysAtOnceAreAsManyOneByOne) {
  PrefixIndex index;
  const auto prompt = chain(0, 100);
  index.add(4, prompt);
  EXPECT_EQ(index.size(4), 100u);
  EXPECT_EQ(index.match(prompt).blocks(4), 100u);
  index.remove(4, std::span(prompt).subspan(60));
  EXPECT_EQ(index.match(prompt).blocks(4), 60u);
  index.add(4, std::span<const Key128>());
  EXPECT_EQ(index.size(4), 60u);
}

TEST(PrefixIndex, BlocksWithTheSameHoldersShareOneSet) {
  PrefixIndex index;
  for (std::uint32_t node = 0; node < 3; ++node) index.add(node, chain(0, 1000));
  EXPECT_EQ(index.set_count(), 1u);
  index.remove(1, key(500));
  EXPECT_EQ(index.set_count(), 2u);
}

TEST(PrefixIndex, GarbageOfANodeThatIsClearedAgainAndAgainStaysBounded) {
  PrefixIndex index;
  index.add(1, chain(1'000'000, 10'000));
  for (std::uint64_t round = 0; round < 1000; ++round) {
    index.add(0, chain(round * 100, 100));
    index.clear(0);
    ASSERT_LT(index.key_count(), 10'000u + 4096 + 100) << "an eighth of 32,768 slots, and the last round";
  }
  EXPECT_EQ(index.size(1), 10'000u);
}

TEST(PrefixIndex, KeysThatDifferOnlyInBitsItDoesNotKeepAreOneBlock) {
  // Another `low` with the same 32 bits at its end, and the `high` that makes up for it.
  const Key128 a = key(1);
  Key128 b{a.high, a.low + (std::uint64_t{1} << 32)};
  b.high ^= slot_key(a).find ^ slot_key(b).find;
  ASSERT_NE(a, b);
  PrefixIndex index;
  index.add(0, a);
  index.add(1, b);
  index.add(0, b);
  EXPECT_EQ(index.size(0), 1u);
  index.remove(0, a);
  EXPECT_FALSE(index.holds(0, b)) << "a wrong prediction, and no more than that";
  EXPECT_TRUE(index.holds(1, a));
  index.remove(0, b);
  index.remove(1, b);
  EXPECT_EQ(index.key_count(), 0u);
}

// The obvious twin: a set of keys for each node.
class Twin {
 public:
  explicit Twin(std::uint32_t nodes) : nodes_(nodes) {}

  std::set<Key128>& node(std::uint32_t number) { return nodes_[number]; }
  void expect_same(const PrefixIndex& index, std::span<const Key128> prompt) const {
    const PrefixMatch match = index.match(prompt);
    std::uint32_t any = 0;
    const auto held = [&](const Key128& k) {
      return std::ranges::any_of(nodes_, [&](const auto& keys) { return keys.contains(k); });
    };
    while (any < prompt.size() && held(prompt[any])) ++any;
    EXPECT_EQ(match.blocks_any, any);
    for (std::uint32_t n = 0; n < nodes_.size(); ++n) {
      std::uint32_t blocks = 0;
      while (blocks < prompt.size() && nodes_[n].contains(prompt[blocks])) ++blocks;
      EXPECT_EQ(match.blocks(n), blocks) << "node " << n;
      EXPECT_EQ(index.size(n), nodes_[n].size()) << "node " << n;
      EXPECT_EQ(index.holds(n, prompt[0]), nodes_[n].contains(prompt[0])) << "node " << n;
    }
  }

 private:
  std::vector<std::set<Key128>> nodes_;
};

struct Mix {
  std::uint32_t nodes;
  std::uint64_t keys;
  std::uint64_t clears_percent;
  int steps;
};

class PrefixIndexTwin : public ::testing::TestWithParam<Mix> {};

// Whole chains and single blocks come, go and come back, also below a parent that is gone; nodes are cleared.
TEST_P(PrefixIndexTwin, AgreesWithSetsOfKeysOnRandomChanges) {
  const Mix mix = GetParam();
  Rng rng(7);
  PrefixIndex index;
  Twin twin(mix.nodes);
  for (int step = 0; step < mix.steps; ++step) {
    const auto node = static_cast<std::uint32_t>(rng.below(mix.nodes));
    const auto keys = chain(rng.below(mix.keys), rng.below(4) == 0 ? 1 + rng.below(30) : 1);
    const auto action = rng.below(100);
    if (action < mix.clears_percent) {
      index.clear(node);
      twin.node(node).clear();
    } else if (action < 60) {
      index.add(node, keys);
      twin.node(node).insert(keys.begin(), keys.end());
    } else {
      index.remove(node, keys);
      for (const Key128& k : keys) twin.node(node).erase(k);
    }
    twin.expect_same(index, chain(rng.below(mix.keys), 5));
    ASSERT_FALSE(HasFailure()) << "step " << step;
  }
}

INSTANTIATE_TEST_SUITE_P(Mixes, PrefixIndexTwin,
                         ::testing::Values(Mix{.nodes = 5, .keys = 40, .clears_percent = 3, .steps = 8'000},
                                           Mix{.nodes = 2, .keys = 2000, .clears_percent = 1, .steps = 8'000},
                                           Mix{.nodes = 3, .keys = 300, .clears_percent = 30, .steps = 8'000},
                                           Mix{.nodes = 100, .keys = 40, .clears_percent = 1, .steps = 3'000}));

}  // namespace
}  // namespace mooncake::kvcache
