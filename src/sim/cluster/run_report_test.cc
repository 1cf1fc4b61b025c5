#include "sim/cluster/run_report.h"

#include <gtest/gtest.h>

#include "sim/testing.h"

namespace mooncake::sim {
namespace {

using conductor::RefusalKind;
using testing::trace_of;

Instant at(int seconds) { return Instant(Seconds(seconds)); }

ClusterConfig one_of_each() { return {.slo = {.ttft = Seconds(30), .tbt = Millis(100)}, .profile = {.name = "plain"}}; }

/// A second in the queue, two in prefill, until 10 in decode.
RequestOutcome completed() {
  return {
      .outcome = Outcome::kCompleted, .prefill_start = at(1), .first_token = at(3), .end = at(10), .tbt = Millis(50)};
}

const Table& table_of(const Report& report, std::string_view title) {
  return *std::ranges::find(report.tables, title, &Table::title);
}

TEST(RunReport, DistributionsAreCumulativeAndNameTheirObjective) {
  ClusterResult result;
  Trace trace = trace_of(std::vector<std::vector<TraceBlock>>(10, {0}));
  for (int i = 0; i < 10; ++i) {
    result.requests.push_back(completed());
    result.requests.back().first_token = at(i + 1);
  }
  const Report report = run_report(trace, one_of_each(), result);
  const Chart& ttft = report.charts.front();
  EXPECT_EQ(ttft.title, "TTFT of completed requests; the objective is 30 s");
  EXPECT_EQ(ttft.marks.at(0).x, 30);
  ASSERT_EQ(ttft.x.size(), 101u);
  EXPECT_TRUE(std::ranges::is_sorted(ttft.x));
  EXPECT_EQ(ttft.x.front(), 1);
  EXPECT_EQ(ttft.x[50], 5);
  EXPECT_EQ(ttft.series[0].y[50], 0.5);
  EXPECT_EQ(ttft.x.back(), 10);
  EXPECT_TRUE(ttft.log_x);
  EXPECT_EQ(report.charts[1].marks.at(0).x, 100) << "ms between tokens";
}

TEST(RunReport, RefusalsAreCountedByTheirKind) {
  RequestOutcome late = completed();
  late.outcome = Outcome::kRejectedAfterPrefill;
  late.refusal = RefusalKind::kTbtObjective;
  RequestOutcome early{.refusal = RefusalKind::kTbtObjective};
  RequestOutcome never{.refusal = RefusalKind::kNeverFits};
  const Report report =
      run_report(trace_of({{0}, {0}, {0}, {0}}), one_of_each(), {.requests = {completed(), late, early, never}});
  const std::vector<std::vector<Cell>> expected = {{std::string("can never be served"), 1.0, 0.25, 0.0},
                                                   {std::string("TBT objective"), 2.0, 0.5, 1.0},
                                                   {std::string("all"), 3.0, 0.75, 1.0}};
  EXPECT_EQ(table_of(report, "Refused, by reason").rows, expected);
  EXPECT_EQ(report.title, "A simulated run: 1 of 4 requests in time");
}

TEST(RunReport, InstancesAreBusyForAShareOfTheRun) {
  RequestOutcome reuses = completed();
  reuses.reused_blocks = 1;
  const Report report = run_report(trace_of({{0, 1}}), one_of_each(), {.requests = {reuses}});
  EXPECT_EQ(table_of(report, "Prefill instances").rows,
            (std::vector<std::vector<Cell>>{{std::string("prefill-0"), 0.2, 1.0, 0.0, 0.5}}));
  EXPECT_EQ(table_of(report, "Decode instances").rows,
            (std::vector<std::vector<Cell>>{{std::string("decode-0"), 0.7, 1.0, 0.7}}));
  EXPECT_EQ(report.gantts.size(), 1u);
}

TEST(RunReport, WhatNothingIsKnownOfIsLeftOut) {
  const Report nothing = run_report(trace_of({{0}}), one_of_each(), {.requests = {{}}});
  EXPECT_EQ(nothing.charts.size(), 2u) << "prompts, and requests by arrival";
  EXPECT_TRUE(nothing.gantts.empty());
  ClusterConfig config = one_of_each();
  config.prefill_only = true;
  RequestOutcome prefilled = completed();
  prefilled.end = prefilled.first_token;
  prefilled.tbt.reset();
  const Report report = run_report(trace_of({{0}}), config, {.requests = {prefilled}});
  EXPECT_EQ(report.charts.size(), 4u) << "neither TBT nor decode";
  EXPECT_EQ(report.tables.back().title, "Prefill instances");
}

}  // namespace
}  // namespace mooncake::sim
