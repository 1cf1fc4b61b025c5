#include "cli/bench_transfer/targets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>

namespace mooncake::cli {
namespace {

constexpr Target kAtLeastOther{"fast path", "ours", "other", "the other", "GB/s", Goal::kAtLeast, 0.9};

Judgement only(const Target& target, const Series& series, const Missing& missing = {}) {
  return judge({&target, 1}, series, missing).at(0);
}

TEST(Targets, RatioIsTheMedianOfTheRoundsAndNotTheRatioOfMedians) {
  // The machine became ten times slower after the first round, and once hurt ours alone.
  const Judgement row = only(kAtLeastOther, {{"ours", {10, 1, 0.5}}, {"other", {10, 1, 1}}});
  EXPECT_DOUBLE_EQ(*row.ours, 1);
  EXPECT_DOUBLE_EQ(*row.baseline, 1);
  EXPECT_EQ(row.ratios, (std::vector<double>{1, 1, 0.5}));
  EXPECT_DOUBLE_EQ(*row.ratio, 1);
  const Judgement slower = only(kAtLeastOther, {{"ours", {4, 10, 100}}, {"other", {8, 8, 200}}});
  EXPECT_DOUBLE_EQ(*slower.ratio, 0.5) << "though the medians are 10 and 8";
}

TEST(Targets, VerdictLooksAtTheRatioWhereThereIsABaselineAndAtTheFigureElsewhere) {
  EXPECT_EQ(only(kAtLeastOther, {{"ours", {90}}, {"other", {100}}}).verdict(), "met");
  EXPECT_EQ(only(kAtLeastOther, {{"ours", {89}}, {"other", {100}}}).verdict(), "missed");

  Target at_most = kAtLeastOther;
  at_most.goal = Goal::kAtMost;
  at_most.limit = 1.5;
  EXPECT_EQ(only(at_most, {{"ours", {15}}, {"other", {10}}}).verdict(), "met");
  EXPECT_EQ(only(at_most, {{"ours", {16}}, {"other", {10}}}).verdict(), "missed");

  Target alone = kAtLeastOther;
  alone.baseline = "";
  alone.limit = 200;
  EXPECT_EQ(only(alone, {{"ours", {200}}}).verdict(), "met");
  EXPECT_EQ(only(alone, {{"ours", {199}}}).verdict(), "missed");

  Target reported = kAtLeastOther;
  reported.goal = Goal::kReported;
  EXPECT_EQ(only(reported, {{"ours", {1}}, {"other", {100}}}).verdict(), "reported");
}

TEST(Targets, WhatWasNotMeasuredSaysWhy) {
  const Missing missing = {{"other", "iperf3 is not installed"}};
  const Judgement no_baseline = only(kAtLeastOther, {{"ours", {1}}}, missing);
  EXPECT_EQ(no_baseline.verdict(), "not measured: iperf3 is not installed");
  EXPECT_TRUE(no_baseline.ours) << "what there is, is shown";
  EXPECT_FALSE(no_baseline.ratio);
  EXPECT_EQ(only(kAtLeastOther, {{"other", {1}}}).verdict(), "not measured: it was left out");
}

TEST(Targets, TableShowsEveryTargetWithItsVerdict) {
  const std::vector<Judgement> judgements = judge(transfer_targets(), {}, {});
  const std::string table = targets_table(judgements);
  for (const Judgement& row : judgements) EXPECT_NE(table.find(row.target.path), std::string::npos) << row.target.path;
  EXPECT_EQ(judgements.size(), target_rows(judgements).size());
  const Judgement met = only(kAtLeastOther, {{"ours", {4.5}}, {"other", {4.5}}});
  const std::string line = targets_table({met});
  for (const char* part : {"4.5 GB/s", "the other: 4.5 GB/s", "1x", ">= 0.9x", "met"}) {
    EXPECT_NE(line.find(part), std::string::npos) << line;
  }
}

TEST(Targets, EveryComparisonHasALimitAndAName) {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (const Target& target : transfer_targets()) {
    EXPECT_TRUE(seen.emplace(target.series, target.baseline).second) << target.series << " is there twice";
    EXPECT_EQ(target.goal == Goal::kReported, target.limit == 0) << target.series;
    EXPECT_EQ(target.baseline.empty(), target.against.empty()) << target.series;
  }
}

TEST(Targets, ProofsAreHeldAgainstPlainInBothDirectionsAndPlacements) {
  const std::map<std::string_view, double> limits = {{"mac", 0.95}, {"tls", 0.5}};
  for (const auto& [mode, limit] : limits) {
    for (const char* what : {"read_1mib", "write_1mib", "read_1mib_two_cores", "write_1mib_two_cores"}) {
      const std::string name = std::string(mode) + "_" + what + "_gb_per_s";
      const std::string plain = std::string("plain_") + what + "_gb_per_s";
      const auto found = std::ranges::find(transfer_targets(), name, &Target::series);
      ASSERT_NE(found, transfer_targets().end()) << name;
      EXPECT_EQ(found->baseline, plain);
      EXPECT_EQ(only(*found, {{name, {limit * 4}}, {plain, {4}}}).verdict(), "met");
      EXPECT_EQ(only(*found, {{name, {limit * 4 - 0.01}}, {plain, {4}}}).verdict(), "missed");
    }
  }
}

TEST(Targets, RowsOfTheCommonSchemaKnowWhichSideIsBetter) {
  const std::vector<BenchRow> rows = target_rows(judge(transfer_targets(), {}, {}));
  for (const BenchRow& row : rows) {
    EXPECT_EQ(row.better == Better::kHigher, row.name.ends_with("per_s")) << row.name;
  }
}

}  // namespace
}  // namespace mooncake::cli
