#include "conductor/placement.h"

#include <gtest/gtest.h>

#include "conductor/testing.h"
#include "kvcache/chunk_plan.h"

namespace mooncake::conductor {
namespace {

using testing::PlainCosts;

constexpr double kThreshold = 1.3;

PromptFacts prompt(std::uint32_t best_blocks) {
  return {.prompt_tokens = 1000, .block_tokens = 64, .best_blocks = best_blocks};
}

PrefillFacts facts(std::uint32_t id, std::uint32_t local, Nanos queue = Nanos{0}, Nanos backlog = Nanos{0}) {
  return {.instance = InstanceId{id},
          .local_blocks = local,
          .sender = NodeId{9},
          .sender_backlog = backlog,
          .queue = queue};
}

Candidate evaluate(PlacementPolicy policy, std::uint32_t best, const PrefillFacts& instance,
                   const kvcache::CostModel& cost) {
  return evaluate_prefill(policy, kThreshold, prompt(best), instance, cost);
}

TEST(Placement, CostMinTransfersWhatIsMissing) {
  const PlainCosts cost;
  const Candidate candidate = evaluate(PlacementPolicy::kCostMin, 10, facts(0, 4, Millis(50), Millis(7)), cost);
  EXPECT_EQ(candidate.reused_blocks, 10u);
  EXPECT_EQ(candidate.local_prefix_blocks, 4u);
  EXPECT_EQ(candidate.fetch_from, NodeId{9});
  EXPECT_EQ(candidate.queue, Millis(50));
  EXPECT_EQ(candidate.transfer, Millis(7) + Micros(6 * 64 * 100)) << "the sender's backlog comes first";
  EXPECT_EQ(candidate.prefill, Millis(1000 - 640));
  EXPECT_EQ(candidate.ttft, candidate.queue + candidate.transfer + candidate.prefill);
}

TEST(Placement, CostMinRecomputesWhenTheTransferTakesLonger) {
  const PlainCosts cost;
  // Missing: 6 blocks, 384 ms to recompute, 38.4 ms to send behind 400 ms of backlog.
  const Candidate local = evaluate(PlacementPolicy::kCostMin, 10, facts(0, 4, Nanos{0}, Millis(400)), cost);
  EXPECT_EQ(local.reused_blocks, 4u);
  EXPECT_EQ(local.transfer, Nanos(0));
  EXPECT_EQ(local.prefill, Millis(1000 - 256));
  const PlainCosts slow_link(Millis(2));
  EXPECT_EQ(evaluate(PlacementPolicy::kCostMin, 10, facts(0, 0), slow_link).reused_blocks, 0u);
}

TEST(Placement, WhatIsOnSsdIsReadWhileTheRestIsSent) {
  const PlainCosts cost;  // a block: 6.4 ms to send, 3.2 ms to read
  PrefillFacts node = facts(0, 4, Nanos{0}, Millis(7));
  node.local_ssd_blocks = 3;
  node.ssd_backlog = Millis(10);
  EXPECT_EQ(evaluate(PlacementPolicy::kLocal, 10, node, cost).transfer, Millis(10) + Micros(3 * 3'200));
  EXPECT_EQ(evaluate(PlacementPolicy::kCostMin, 10, node, cost).transfer, Millis(7) + Micros(6 * 6'400))
      << "sending takes longer than reading";
  node.sender_ssd_blocks = 5;
  node.sender_ssd_backlog = Millis(60);
  const Candidate candidate = evaluate(PlacementPolicy::kCostMin, 10, node, cost);
  EXPECT_EQ(candidate.transfer, Millis(60) + Micros(5 * 3'200)) << "and the sender has to read before it sends";
  EXPECT_EQ(candidate.ssd_blocks, 3u);
  EXPECT_EQ(candidate.fetched_ssd_blocks, 5u);
}

TEST(Placement, CostMinRecomputesWhenSsdsTakeLonger) {
  const PlainCosts cost;
  PrefillFacts node = facts(0, 4);
  node.local_ssd_blocks = 4;
  node.ssd_backlog = Millis(300);
  const Candidate candidate = evaluate(PlacementPolicy::kCostMin, 4, node, cost);
  EXPECT_EQ(candidate.reused_blocks, 0u) << "256 ms to compute, 312.8 to read";
  EXPECT_EQ(candidate.ssd_blocks, 0u);
  EXPECT_EQ(candidate.transfer, Nanos{0});
}

TEST(Placement, LastTokensAreComputedEvenIfAllIsCached) {
  const PlainCosts cost;
  const PromptFacts whole{.prompt_tokens = 640, .block_tokens = 64, .best_blocks = 10};
  const Candidate candidate = evaluate_prefill(PlacementPolicy::kCostMin, kThreshold, whole, facts(0, 10), cost);
  EXPECT_EQ(candidate.prefill, Millis(64));
}

TEST(Placement, Algorithm1TransfersAboveTheThresholdOnly) {
  const PlainCosts cost;
  EXPECT_EQ(evaluate(PlacementPolicy::kAlgorithm1, 13, facts(0, 10), cost).reused_blocks, 10u) << "13 / 10 = 1.3";
  EXPECT_EQ(evaluate(PlacementPolicy::kAlgorithm1, 14, facts(0, 10), cost).reused_blocks, 14u);
  EXPECT_EQ(evaluate(PlacementPolicy::kAlgorithm1, 1, facts(0, 0), cost).reused_blocks, 1u) << "1 / 0: infinity";
  EXPECT_EQ(evaluate(PlacementPolicy::kAlgorithm1, 0, facts(0, 0), cost).reused_blocks, 0u);
  const PlainCosts slow_link(Millis(2));
  EXPECT_EQ(evaluate(PlacementPolicy::kAlgorithm1, 14, facts(0, 10), slow_link).reused_blocks, 14u)
      << "the threshold does not look at costs; cost-min does";
}

TEST(Placement, CostMinIsNeverWorseThanAlgorithm1) {
  Rng rng(5);
  for (int i = 0; i < 5'000; ++i) {
    const PlainCosts cost(Micros(1 + rng.below(3'000)));
    const auto best = static_cast<std::uint32_t>(rng.below(16));
    const auto instance =
        facts(0, static_cast<std::uint32_t>(rng.below(best + 1)), Millis(rng.below(100)), Millis(rng.below(300)));
    EXPECT_LE(evaluate(PlacementPolicy::kCostMin, best, instance, cost).ttft,
              evaluate(PlacementPolicy::kAlgorithm1, best, instance, cost).ttft);
  }
}

// The paper's Algorithm 1, line by line, in floating point seconds and with divisions by zero spelled out.
struct SlowTwin {
  std::size_t instance = 0;
  double ttft = 0;
};
SlowTwin algorithm1_by_the_book(const std::vector<PrefillFacts>& pool, const PromptFacts& request,
                                double transfer_s_per_token) {
  SlowTwin result{0, std::numeric_limits<double>::infinity()};
  for (std::size_t i = 0; i < pool.size(); ++i) {
    const double best = request.best_blocks;
    const double own = pool[i].local_blocks;
    double ratio = 1;
    if (own > 0) ratio = best / own;
    if (own == 0 && best > 0) ratio = std::numeric_limits<double>::infinity();
    const double queue = to_ms(pool[i].queue) / 1e3;
    double reused = own * request.block_tokens;
    double transfer = 0;
    if (ratio > kThreshold) {
      reused = best * request.block_tokens;
      transfer = to_ms(pool[i].sender_backlog) / 1e3 + (best - own) * request.block_tokens * transfer_s_per_token;
    }
    reused = std::min(reused, std::max(0.0, static_cast<double>(request.prompt_tokens) - kvcache::kChunkTokensMin));
    const double prefill = (request.prompt_tokens - reused) * 1e-3;
    const double ttft = transfer + queue + prefill;
    if (ttft < result.ttft - 1e-12) result = {i, ttft};
  }
  return result;
}

TEST(Placement, Algorithm1AgreesWithTheSlowTwinOnRandomInput) {
  Rng rng(17);
  for (int round = 0; round < 5'000; ++round) {
    const std::uint64_t micros = 1 + rng.below(2'000);
    const PlainCosts cost{Nanos(Micros(micros))};
    const auto tokens = static_cast<std::uint32_t>(1 + rng.below(4'000));
    const PromptFacts request{.prompt_tokens = tokens,
                              .block_tokens = 64,
                              .best_blocks = static_cast<std::uint32_t>(rng.below(tokens / 64 + 1))};
    std::vector<PrefillFacts> pool;
    std::vector<Candidate> candidates;
    std::vector<std::uint32_t> outstanding;
    for (std::uint32_t id = 0; id < 1 + rng.below(8); ++id) {
      pool.push_back(facts(id, static_cast<std::uint32_t>(rng.below(request.best_blocks + 1)), Millis(rng.below(2'000)),
                           Millis(rng.below(3) == 0 ? rng.below(500) : 0)));
      candidates.push_back(evaluate_prefill(PlacementPolicy::kAlgorithm1, kThreshold, request, pool.back(), cost));
      outstanding.push_back(0);
    }
    const auto chooser = make_prefill_chooser(PlacementPolicy::kAlgorithm1, 0);
    const std::size_t chosen = chooser->choose(candidates, outstanding);
    const SlowTwin twin = algorithm1_by_the_book(pool, request, static_cast<double>(micros) * 1e-6);
    ASSERT_EQ(chosen, twin.instance) << "round " << round;
    ASSERT_NEAR(to_ms(candidates[chosen].ttft) / 1e3, twin.ttft, 1e-6);
  }
}

std::vector<Candidate> with_ttft(std::initializer_list<int> ttft_ms) {
  std::vector<Candidate> candidates;
  for (const int ms : ttft_ms) {
    candidates.push_back(
        {.instance = InstanceId{static_cast<std::uint32_t>(2 * candidates.size())}, .ttft = Millis(ms)});
  }
  return candidates;
}

TEST(PrefillChooser, LeastTtftWinsAndTiesGoToTheLowestId) {
  for (const auto policy : {PlacementPolicy::kCostMin, PlacementPolicy::kAlgorithm1}) {
    const auto chooser = make_prefill_chooser(policy, 0);
    const std::vector<std::uint32_t> outstanding(4);
    EXPECT_EQ(chooser->choose(with_ttft({30, 10, 10, 20}), outstanding), 1u);
  }
}

TEST(PrefillChooser, LeastOutstandingLooksAtNothingElse) {
  const auto chooser = make_prefill_chooser(PlacementPolicy::kLeastOutstanding, 0);
  const std::vector<std::uint32_t> outstanding = {3, 1, 1};
  EXPECT_EQ(chooser->choose(with_ttft({1, 90, 2}), outstanding), 1u);
}

TEST(PrefillChooser, LeastTimeIsTheQueueThatIsEmptyFirst) {
  const PlainCosts cost;
  // The second would answer sooner, because it has the whole prefix; the third is idle first.
  const std::vector<Candidate> candidates = {evaluate(PlacementPolicy::kLeastTime, 10, facts(0, 0, Millis(90)), cost),
                                             evaluate(PlacementPolicy::kLeastTime, 10, facts(1, 10, Millis(30)), cost),
                                             evaluate(PlacementPolicy::kLeastTime, 10, facts(2, 0, Millis(20)), cost)};
  EXPECT_EQ(
      make_prefill_chooser(PlacementPolicy::kLeastTime, 0)->choose(candidates, std::vector<std::uint32_t>{0, 0, 9}),
      2u);
}

TEST(PrefillChooser, LocalWeighsTheQueueAgainstTheOwnPrefixAndNeverTransfers) {
  const PlainCosts cost;
  const auto local = [&](std::uint32_t id, std::uint32_t blocks, Nanos queue) {
    return evaluate(PlacementPolicy::kLocal, 10, facts(id, blocks, queue), cost);
  };
  // 10 blocks save 640 ms of computing.
  const std::vector<Candidate> near = {local(0, 0, Nanos{0}), local(1, 10, Millis(600))};
  const std::vector<Candidate> busy = {local(0, 0, Nanos{0}), local(1, 10, Millis(700))};
  const std::vector<std::uint32_t> outstanding = {0, 0};
  EXPECT_EQ(near[0].transfer, Nanos(0));
  EXPECT_EQ(near[0].reused_blocks, 0u);
  EXPECT_EQ(make_prefill_chooser(PlacementPolicy::kLocal, 0)->choose(near, outstanding), 1u);
  EXPECT_EQ(make_prefill_chooser(PlacementPolicy::kLocal, 0)->choose(busy, outstanding), 0u);
}

TEST(PrefillChooser, RoundRobinGoesOnFromTheLastEvenIfItIsGone) {
  const auto chooser = make_prefill_chooser(PlacementPolicy::kRoundRobin, 0);
  auto candidates = with_ttft({5, 5, 5});
  const std::vector<std::uint32_t> three(3), two(2);
  EXPECT_EQ(chooser->choose(candidates, three), 0u);
  EXPECT_EQ(chooser->choose(candidates, three), 1u);
  candidates.erase(candidates.begin() + 1);  // id 2 is gone
  EXPECT_EQ(chooser->choose(candidates, two), 1u) << "id 4 follows id 2";
  EXPECT_EQ(chooser->choose(candidates, two), 0u);
}

TEST(PrefillChooser, RandomIsEvenAndRepeatsWithItsSeed) {
  const auto a = make_prefill_chooser(PlacementPolicy::kRandom, 42);
  const auto b = make_prefill_chooser(PlacementPolicy::kRandom, 42);
  const auto candidates = with_ttft({1, 2, 3, 4});
  const std::vector<std::uint32_t> outstanding(4);
  std::vector<int> counts(4);
  for (int i = 0; i < 4'000; ++i) {
    const std::size_t chosen = a->choose(candidates, outstanding);
    EXPECT_EQ(chosen, b->choose(candidates, outstanding));
    ++counts[chosen];
  }
  for (const int count : counts) EXPECT_NEAR(count, 1'000, 150);
}

DecodeFacts decode(std::uint32_t id, std::uint32_t requests, std::uint64_t kv_tokens = 0) {
  return {.instance = InstanceId{id},
          .requests = requests,
          .kv_tokens = kv_tokens,
          .prompt_tokens = kv_tokens,
          .sequences_max = 4,
          .kv_tokens_max = 10'000};
}

TEST(DecodeChoice, LeastLoadedThatKeepsTheObjective) {
  const PlainCosts cost;  // step: 1 ms a sequence, 1 us a context token
  const std::vector<DecodeFacts> pool = {decode(0, 3, 3000), decode(1, 1, 8000), decode(2, 2, 1000)};
  const DecodeChoice wide = choose_decode(pool, {1000, 1200, Millis(100)}, cost);
  EXPECT_EQ(wide.index, 1u) << "fewest requests";
  EXPECT_EQ(wide.fit, DecodeFit::kFits);
  EXPECT_EQ(wide.tbt, Millis(2) + Micros(9000));
  const DecodeChoice tight = choose_decode(pool, {1000, 1200, Millis(6)}, cost);
  EXPECT_EQ(tight.index, 2u) << "11 ms on 1 break the objective, 3 + 2 ms on 2 keep it";
  EXPECT_EQ(tight.fit, DecodeFit::kFits);
}

TEST(DecodeChoice, FullInstancesAreTheLastResort) {
  const PlainCosts cost;
  const std::vector<DecodeFacts> pool = {decode(0, 1, 9'500), decode(1, 4, 100), decode(2, 3, 5'000)};
  const DecodeChoice choice = choose_decode(pool, {500, 1'000, Millis(1)}, cost);
  EXPECT_EQ(choice.index, 2u) << "0 has no tokens, 1 no sequence left; 2 is slow but has room";
  EXPECT_EQ(choice.fit, DecodeFit::kBreaksTbt);
  EXPECT_EQ(choose_decode(std::span(pool).first(2), {500, 1'000, Millis(100)}, cost).fit, DecodeFit::kFull);
  EXPECT_EQ(choose_decode(pool, {500, 10'001, Millis(100)}, cost).fit, DecodeFit::kNever);
}

TEST(DecodeChoice, TiesGoToTheLowestId) {
  const PlainCosts cost;
  const std::vector<DecodeFacts> pool = {decode(3, 1, 500), decode(5, 1, 400), decode(8, 1, 400)};
  EXPECT_EQ(choose_decode(pool, {10, 20, Millis(100)}, cost).index, 1u) << "fewer tokens, then lower id";
}

}  // namespace
}  // namespace mooncake::conductor
