#include "sim/coupled/coupled_cluster.h"

#include <gtest/gtest.h>

#include "sim/cluster/cluster_report.h"
#include "sim/testing.h"

namespace mooncake::sim {
namespace {

using testing::conversations;
using testing::trace_of;

/// Prefill 1 ms a token; a step 10 ms.
CoupledConfig plain_config() {
  CoupledConfig config;
  config.profile.prefill_ms_per_token = 1;
  config.profile.step_fixed_ms = 10;
  return config;
}

ClusterResult run(const Trace& trace, const CoupledConfig& config) {
  auto result = run_coupled(trace, config);
  EXPECT_TRUE(result.ok()) << result.status().to_string();
  return std::move(*result);
}

/// The first generates 11 tokens; the second, of one block, comes 15 ms after the first has begun to.
Trace interrupted() {
  Trace trace = trace_of({{0}, {1}});
  trace.requests[0].output_tokens = 11;
  trace.requests[1].output_tokens = 2;
  trace.requests[1].arrival = Millis(512 + 15);
  return trace;
}

TEST(CoupledCluster, WhoeverGeneratesWaitsForPromptsThatComeIn) {
  const ClusterResult result = run(interrupted(), plain_config());
  EXPECT_EQ(result.requests[0].first_token, Instant(Millis(512)));
  EXPECT_EQ(result.requests[1].prefill_start, Instant(Millis(512 + 20))) << "between two steps";
  EXPECT_EQ(result.requests[1].first_token, Instant(Millis(512 + 20 + 512)));
  EXPECT_EQ(result.requests[0].tbt, Millis(522));
  EXPECT_EQ(result.requests[1].tbt, Millis(10));
  EXPECT_EQ(result.requests[0].end, Instant(Millis(512 + 10 * 10 + 512)));
}

TEST(CoupledCluster, ChunksSpreadAPromptOverSteps) {
  CoupledConfig config = plain_config();
  config.chunk_tokens = 128;
  const ClusterResult result = run(interrupted(), config);
  EXPECT_EQ(result.requests[0].tbt, Millis(138)) << "a step with 128 tokens of the prompt";
  EXPECT_EQ(result.requests[1].first_token, Instant(Millis(512 + 20 + 4 * 138)));
}

TEST(CoupledCluster, UnbatchedNodesTakeOneRequestAtATime) {
  CoupledConfig config = plain_config();
  config.batched = false;
  const ClusterResult result = run(interrupted(), config);
  EXPECT_EQ(result.requests[0].tbt, Millis(10));
  EXPECT_EQ(result.requests[1].prefill_start, result.requests[0].end);
}

TEST(CoupledCluster, APrefixIsFoundOnTheNodeThatComputedIt) {
  Trace trace = trace_of({{0, 1}, {0, 1}, {0, 1}});
  trace.requests[1].arrival = Seconds(5);
  trace.requests[2].arrival = Seconds(5);
  CoupledConfig config = plain_config();
  config.prefix_cache = true;
  config.nodes = 2;
  const ClusterResult result = run(trace, config);
  EXPECT_EQ(result.requests[1].prefill, 0u);
  EXPECT_EQ(result.requests[1].reused_blocks, 2u);
  EXPECT_EQ(result.requests[2].prefill, 1u) << "the fewest unfinished requests";
  EXPECT_EQ(result.requests[2].reused_blocks, 0u);
}

TEST(CoupledCluster, EveryRequestCompletesInEveryMode) {
  Rng rng(4);
  Trace trace = conversations(4, 400);
  for (TraceRequest& request : trace.requests) request.output_tokens = static_cast<std::uint32_t>(rng.below(200));
  testing::arrive_at_random(trace, Millis(900), rng);
  for (const auto& [cache, chunk, batched] : {std::tuple(false, 0, true), std::tuple(true, 0, true),
                                              std::tuple(false, 300, true), std::tuple(true, 0, false)}) {
    CoupledConfig config = plain_config();
    config.nodes = 3;
    config.kv_tokens = 30'000;
    config.prefix_cache = cache;
    config.batched = batched;
    if (chunk > 0) config.chunk_tokens = static_cast<std::uint32_t>(chunk);
    const ClusterReport report = report_cluster(trace, {}, run(trace, config));
    EXPECT_EQ(report.completed, 400u);
  }
}

TEST(CoupledCluster, RefusesWhatMakesNoSense) {
  const Trace trace = trace_of({{0}});
  for (const CoupledConfig& config : {CoupledConfig{.nodes = 0}, CoupledConfig{.speed = 0},
                                      CoupledConfig{.chunk_tokens = 0}, CoupledConfig{.kv_tokens = 100}}) {
    EXPECT_EQ(run_coupled(trace, config).status().code(), Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace mooncake::sim
