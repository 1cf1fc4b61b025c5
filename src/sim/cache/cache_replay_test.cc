#include "sim/cache/cache_replay.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "base/rng.h"
#include "sim/testing.h"

namespace mooncake::sim {
namespace {

using testing::conversations;
using testing::trace_of;

CacheReplayReport replay(const Trace& trace, const CacheReplayConfig& config) {
  const auto report = replay_cache(trace, config);
  EXPECT_TRUE(report.ok()) << report.status().to_string();
  return *report;
}

TEST(CacheReplay, CountsLeadingBlocksAtArrivalAndSingleBlocksAtTheirUse) {
  // Room for two. The third request finds block 1 but not 0, the first: nothing leads. Its own use of 0 evicts 2.
  const Trace trace = trace_of({{0, 1}, {2, 1}, {0, 1}});
  const CacheReplayReport report = replay(trace, {.policy = "lru", .capacity_blocks = 2});
  EXPECT_EQ(report.requests, 3u);
  EXPECT_EQ(report.block_refs, 6u);
  EXPECT_EQ(report.distinct_blocks, 3u);
  EXPECT_DOUBLE_EQ(report.hit_rate_prefix_block, 0);
  EXPECT_DOUBLE_EQ(report.hit_rate_block, 2.0 / 6);
}

TEST(CacheReplay, TokensOfAPartialLastBlockAreNoMoreThanThePrompt) {
  Trace trace = trace_of({{0, 1}, {0, 1}});
  for (TraceRequest& request : trace.requests) request.input_tokens = 600;
  EXPECT_DOUBLE_EQ(replay(trace, {}).hit_rate_prefix_token, 600.0 / 1200);
  EXPECT_DOUBLE_EQ(replay(trace, {}).hit_rate_prefix_block, 2.0 / 4);
}

TEST(CacheReplay, RoutingDecidesWhichCacheIsAsked) {
  const Trace trace = trace_of({{0}, {0}, {0}, {0}});
  EXPECT_DOUBLE_EQ(replay(trace, {.nodes = 2, .routing = CacheRouting::kRoundRobin}).hit_rate_block, 2.0 / 4);
  // The documented function, so that others get the same nodes.
  std::map<std::uint64_t, int> seen;
  int hits = 0;
  for (std::uint64_t number = 0; number < 4; ++number) hits += seen[splitmix64(number) % 3]++ > 0 ? 1 : 0;
  EXPECT_DOUBLE_EQ(replay(trace, {.nodes = 3}).hit_rate_block, hits / 4.0);
  EXPECT_EQ(splitmix64(0), 0xE220A8397B1DCDAFu) << "as published";
}

/// Most hits that any choice of victims allows, by trying all of them.
std::uint64_t best_hits(const std::vector<TraceBlock>& uses, std::size_t at, std::vector<TraceBlock> cached,
                        std::size_t capacity) {
  for (; at < uses.size(); ++at) {
    if (std::ranges::find(cached, uses[at]) != cached.end()) {
      return 1 + best_hits(uses, at + 1, cached, capacity);
    }
    if (cached.size() == capacity) break;
    cached.push_back(uses[at]);
  }
  if (at == uses.size()) return 0;
  std::uint64_t best = 0;
  for (TraceBlock& victim : cached) {
    const TraceBlock was = std::exchange(victim, uses[at]);
    best = std::max(best, best_hits(uses, at + 1, cached, capacity));
    victim = was;
  }
  return best;
}

TEST(CacheReplay, OptIsTheBestOfAllChoicesOnSmallTraces) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    Rng rng(seed);
    std::vector<std::vector<TraceBlock>> prompts(14);
    std::vector<TraceBlock> uses;
    for (auto& prompt : prompts) uses.push_back(prompt.emplace_back(static_cast<TraceBlock>(rng.below(6))));
    const double best = static_cast<double>(best_hits(uses, 0, {}, 3)) / static_cast<double>(uses.size());
    EXPECT_DOUBLE_EQ(replay(trace_of(prompts), {.policy = "opt", .capacity_blocks = 3}).hit_rate_block, best) << seed;
  }
}

TEST(CacheReplay, NoPolicyBeatsOptAndAllAreEqualWithoutLimit) {
  const Trace trace = conversations(3, 2000);
  const double unlimited = replay(trace, {}).hit_rate_block;
  for (const std::uint32_t nodes : {1u, 4u}) {
    const double optimum = replay(trace, {.policy = "opt", .capacity_blocks = 40, .nodes = nodes}).hit_rate_block;
    for (const std::string policy : {"default", "lru", "fifo", "lfu", "length-aware", "sieve", "s3fifo"}) {
      EXPECT_LE(replay(trace, {.policy = policy, .capacity_blocks = 40, .nodes = nodes}).hit_rate_block, optimum)
          << policy;
      EXPECT_EQ(replay(trace, {.policy = policy, .capacity_blocks = trace.distinct_blocks}).hit_rate_block, unlimited)
          << policy;
    }
  }
}

TEST(CacheReplay, RefusesWhatMakesNoSense) {
  const Trace trace = trace_of({{0}});
  EXPECT_EQ(replay_cache(trace, {.policy = "mru"}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(replay_cache(trace, {.capacity_blocks = 0}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(replay_cache(trace, {.nodes = 0}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(replay_cache(trace, {.nodes = kCacheNodesMax + 1}).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace mooncake::sim
