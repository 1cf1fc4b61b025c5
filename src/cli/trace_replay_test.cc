#include "cli/trace_replay.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace mooncake::cli {
namespace {

// A conversation of two turns, a stranger, and one that is too long; the source is not in order of time.
sim::Trace sample() {
  sim::Trace trace;
  trace.blocks = {0, 1, 0, 1, 2, 3};
  trace.distinct_blocks = 4;
  trace.requests = {
      {.arrival = Millis(5000), .input_tokens = 1000, .output_tokens = 10, .first_block = 0, .block_count = 2},
      {.arrival = Millis(9000), .input_tokens = 1300, .output_tokens = 0, .first_block = 2, .block_count = 3},
      {.arrival = Millis(7000), .input_tokens = 100, .output_tokens = 30, .first_block = 5, .block_count = 1},
      {.arrival = Millis(8000), .input_tokens = 100'000, .output_tokens = 30},
  };
  return trace;
}

std::size_t common_prefix(const std::string& a, const std::string& b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

TEST(TraceReplay, ArrivalsAreInOrderFromZeroAndFaster) {
  const ReplayPlan plan = plan_replay(sample(), {.speed = 2, .context_tokens = 8192});
  ASSERT_EQ(plan.requests, (std::vector<std::size_t>{0, 2, 1}));
  EXPECT_EQ(plan.arrivals[0].at_s, 0);
  EXPECT_EQ(plan.arrivals[1].at_s, 1);
  EXPECT_EQ(plan.arrivals[2].at_s, 2);
  EXPECT_EQ(plan.arrivals[0].answer_tokens, 10u);
  EXPECT_EQ(plan.arrivals[2].answer_tokens, 1u) << "an answer has a token at least";
  EXPECT_EQ(plan.skipped, 1u) << "100,000 tokens do not fit";
}

TEST(TraceReplay, ScaleMakesLongRequestsFit) {
  const ReplayPlan plan = plan_replay(sample(), {.tokens_scale = 0.05, .context_tokens = 8192});
  EXPECT_EQ(plan.arrivals.size(), 4u);
  EXPECT_EQ(plan.skipped, 0u);
  EXPECT_EQ(plan_replay(sample(), {.tokens_scale = 0.05, .context_tokens = 30}).skipped, 3u);
}

TEST(TraceReplay, WhatArrivesAfterTheEndIsLeftOutAndNotCountedAsSkipped) {
  const ReplayPlan plan = plan_replay(sample(), {.duration_s = 2.5, .context_tokens = 8192});
  EXPECT_EQ(plan.arrivals.size(), 2u);
  EXPECT_EQ(plan.skipped, 0u);
}

TEST(TraceReplay, EqualBlocksAreEqualTextAndOthersAreNot) {
  const sim::Trace trace = sample();
  for (const double scale : {1.0, 0.125}) {
    const ReplayOptions options{.tokens_scale = scale, .bytes_per_token = 5, .seed = 7};
    const std::string first = replay_prompt(trace, 0, options);
    const std::string second = replay_prompt(trace, 1, options);
    EXPECT_EQ(first.size(), static_cast<std::size_t>(1000 * scale * 5));
    EXPECT_NEAR(second.size(), 1300 * scale * 5, 3);
    EXPECT_EQ(common_prefix(first, second), first.size()) << "the first turn begins the second one";
    EXPECT_LT(common_prefix(first, replay_prompt(trace, 2, options)), 40u);
    EXPECT_EQ(replay_prompt(trace, 1, options), second);
    ReplayOptions other = options;
    other.seed = 8;
    EXPECT_LT(common_prefix(first, replay_prompt(trace, 0, other)), 40u) << "another run finds no old cache";
  }
}

TEST(TraceReplay, TextBeyondTheBlocksIsARequestsOwn) {
  sim::Trace trace;
  trace.blocks = {0, 0};
  trace.distinct_blocks = 1;
  trace.requests = {{.input_tokens = 2000, .first_block = 0, .block_count = 1},
                    {.input_tokens = 2000, .first_block = 1, .block_count = 1}};
  const std::size_t common = common_prefix(replay_prompt(trace, 0, {}), replay_prompt(trace, 1, {}));
  EXPECT_GE(common, 512u);
  EXPECT_LT(common, 560u);
}

TEST(TraceReplay, RunBecomesATraceWithTheLengthsThatWereCounted) {
  const std::vector<Arrival> arrivals = {{.at_s = 0.5, .answer_tokens = 16}, {.at_s = 2, .answer_tokens = 16}};
  const std::vector<Outcome> outcomes = {{.sent = true, .prompt_tokens = 513, .answer_tokens = 12},
                                         {.sent = true, .refused = true}};
  const sim::Trace trace = trace_of(arrivals, outcomes, 256);
  ASSERT_EQ(trace.requests.size(), 2u);
  EXPECT_EQ(trace.requests[0].arrival, Millis(500));
  EXPECT_EQ(trace.requests[0].input_tokens, 513u);
  EXPECT_EQ(trace.requests[0].output_tokens, 12u);
  EXPECT_EQ(trace.requests[1].input_tokens, 256u) << "not answered, so not counted";
  EXPECT_EQ(trace.requests[1].output_tokens, 16u);
  EXPECT_EQ(trace.blocks, (std::vector<sim::TraceBlock>{0, 1, 2})) << "nothing is shared";
}

}  // namespace
}  // namespace mooncake::cli
