#include "sim/plan/planner.h"

#include <gtest/gtest.h>

#include "sim/plan/plan_report.h"
#include "sim/testing.h"

namespace mooncake::sim {
namespace {

/// One request of one block a second, each asked for once: 0.512 s of prefill, then a step of 10 ms for each of 100
/// tokens.
Trace steady_trace() {
  std::vector<std::vector<TraceBlock>> prompts;
  for (TraceBlock i = 0; i < 300; ++i) prompts.push_back({i});
  Trace trace = testing::trace_of(prompts);
  Nanos at{};
  for (TraceRequest& request : trace.requests) {
    request.arrival = at += Millis(100);
    request.output_tokens = 101;
  }
  return trace;
}

PlanQuestion question() {
  PlanQuestion question;
  question.slo = {.ttft = Seconds(1), .tbt = Millis(30)};
  question.profile.prefill_ms_per_token = 1;
  question.profile.step_fixed_ms = 10;
  question.profile.step_ms_per_sequence = 1;
  question.profile.kv_bytes_per_token = 1000;
  question.memory_gb = {1};
  question.link_gbps = {100};
  return question;
}

TEST(Planner, FindsTheSmallestClusterThatServes) {
  // Ten a second need 5.12 prefill instances, so 6. A decode instance with B sequences takes 10 + B ms a step and so
  // 100 (10 + B) ms a request: with B = 20 it ends 6.7 a second, so 2 are needed.
  const auto clusters = plan(steady_trace(), question());
  ASSERT_TRUE(clusters.ok()) << clusters.status().to_string();
  ASSERT_EQ(clusters->size(), 1u);
  EXPECT_EQ(clusters->front().prefill, 6u);
  EXPECT_EQ(clusters->front().decode, 2u);
  EXPECT_GE(clusters->front().report.effective_fraction, 0.99);
}

TEST(Planner, MoreLoadNeedsMoreNodes) {
  PlanQuestion twice = question();
  twice.speed = 2;
  const auto clusters = plan(steady_trace(), twice);
  ASSERT_TRUE(clusters.ok());
  ASSERT_EQ(clusters->size(), 1u);
  EXPECT_EQ(clusters->front().prefill, 10u) << "10.24 for ever, but for 15 s the queue stays below the objective";
}

TEST(Planner, SsdsThatHoldThePromptsSavePrefillNodes) {
  Trace trace = steady_trace();
  for (const TraceRequest& request : trace.requests) trace.blocks[request.first_block] %= 2;
  PlanQuestion ask = question();
  ask.memory_gb = {0.0006};  // a block
  ask.ssd_gb = {0, 0.1};
  const auto clusters = plan(trace, ask);
  ASSERT_TRUE(clusters.ok());
  ASSERT_EQ(clusters->size(), 2u);
  EXPECT_EQ(clusters->front().prefill, 1u) << "a block takes 0.07 ms to read and 512 to compute";
  EXPECT_EQ(clusters->front().ssd_gb, 0.1);
  EXPECT_EQ(clusters->back().prefill, 2u) << "each keeps one of the two blocks";
}

TEST(Planner, SaysWhenNothingServes) {
  PlanQuestion impossible = question();
  impossible.slo.tbt = Millis(5);
  const auto clusters = plan(steady_trace(), impossible);
  ASSERT_TRUE(clusters.ok());
  EXPECT_TRUE(clusters->empty());
  EXPECT_NE(report_text(plan_report(impossible, *clusters)).find("No cluster"), std::string::npos);
}

TEST(Planner, RefusesWhatMakesNoSense) {
  PlanQuestion wrong = question();
  wrong.target = 1.5;
  EXPECT_EQ(plan(steady_trace(), wrong).status().code(), Code::kInvalidArgument);
  wrong = question();
  wrong.memory_gb = {0};
  EXPECT_EQ(plan(steady_trace(), wrong).status().code(), Code::kInvalidArgument);
  wrong = question();
  wrong.ssd_gb = {-1};
  EXPECT_EQ(plan(steady_trace(), wrong).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace mooncake::sim
