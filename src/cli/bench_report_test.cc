#include "cli/bench_report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "cli/scratch_dir.h"

namespace mooncake::cli {
namespace {

BenchReport sample() {
  return {.benchmark = "serve shared-prefix",
          .commit = "0123456789ab",
          .machine = {.cpu = "Some CPU", .cores = 2, .memory = 8ull << 30, .kernel = "Linux 6.1"},
          .settings = {{"requests", "8"}},
          .rows = {{.name = "ttft_ms_warm_p50",
                    .value = 250,
                    .unit = "ms",
                    .better = Better::kLower,
                    .baseline = "cold",
                    .baseline_value = 5000},
                   {.name = "ratio", .value = 20, .unit = "x", .better = Better::kHigher, .target = 10},
                   {.name = "peer_ms", .value = std::nullopt, .unit = "ms", .reason = "peer is not installed"}}};
}

TEST(BenchReport, RatioSaysHowManyTimesBetterInEitherDirection) {
  const BenchRow lower{.name = "a", .value = 5, .unit = "ms", .better = Better::kLower, .baseline_value = 50};
  EXPECT_DOUBLE_EQ(*lower.ratio(), 10);
  const BenchRow higher{.name = "a", .value = 50, .unit = "rps", .better = Better::kHigher, .baseline_value = 5};
  EXPECT_DOUBLE_EQ(*higher.ratio(), 10);
  const BenchRow alone{.name = "a", .value = 1, .unit = "x"};
  EXPECT_FALSE(alone.ratio());
}

TEST(BenchReport, TargetIsMetFromItsGoodSide) {
  BenchRow row{.name = "a", .value = 10, .unit = "ms", .better = Better::kLower, .target = 10};
  EXPECT_EQ(row.met(), true);
  row.value = 10.1;
  EXPECT_EQ(row.met(), false);
  row.better = Better::kHigher;
  EXPECT_EQ(row.met(), true);
  row.value = std::nullopt;
  EXPECT_EQ(row.met(), false) << "what was not measured is not met";
  row.target = std::nullopt;
  EXPECT_EQ(row.met(), std::nullopt);
}

TEST(BenchReport, JsonHasTheWholeSchemaAndNullForWhatIsNotThere) {
  const auto json = nlohmann::json::parse(report_json(sample()));
  EXPECT_EQ(json["commit"], "0123456789ab");
  EXPECT_EQ(json["machine"]["cores"], 2);
  EXPECT_EQ(json["machine"]["memory"], 8ull << 30);
  ASSERT_EQ(json["rows"].size(), 3u);
  for (const auto& row : json["rows"]) {
    for (const char* key :
         {"name", "value", "unit", "better", "baseline", "baseline_value", "ratio", "target", "met", "reason"}) {
      EXPECT_TRUE(row.contains(key)) << key;
    }
  }
  EXPECT_EQ(json["rows"][0]["ratio"], 20);
  EXPECT_EQ(json["rows"][0]["better"], "lower");
  EXPECT_TRUE(json["rows"][0]["met"].is_null());
  EXPECT_EQ(json["rows"][1]["met"], true);
  EXPECT_TRUE(json["rows"][1]["baseline"].is_null());
  EXPECT_TRUE(json["rows"][2]["value"].is_null());
  EXPECT_EQ(json["rows"][2]["reason"], "peer is not installed");
}

TEST(BenchReport, ValuesThatAreNotFiniteBecomeNull) {
  BenchReport report = sample();
  report.rows = {{.name = "a", .value = std::nan(""), .unit = "ms"}};
  EXPECT_TRUE(nlohmann::json::parse(report_json(report))["rows"][0]["value"].is_null());
  EXPECT_NE(report_table(report).find("  a  -  ms"), std::string::npos) << report_table(report);
}

TEST(BenchReport, TableNamesEveryRow) {
  EXPECT_EQ(report_table(sample()),
            "serve shared-prefix at 0123456789ab on Some CPU (2 cores, 8.0 GiB, Linux 6.1)\n"
            "  ttft_ms_warm_p50  250  ms  cold 5000, 20x\n"
            "  ratio              20  x   target 10: met\n"
            "  peer_ms             -  ms  peer is not installed\n");
}

TEST(BenchReport, FileIsWrittenWholeOrAnErrorNamesIt) {
  const ScratchDir dir;
  const std::string file = dir.path() + "/report.json";
  ASSERT_TRUE(publish(sample(), file).ok());
  std::ifstream in(file);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), report_json(sample()));
  const Status failed = publish(sample(), dir.path() + "/missing/report.json");
  EXPECT_EQ(failed.code(), Code::kUnavailable);
  EXPECT_NE(failed.message().find("/missing/report.json"), std::string::npos);
}

TEST(BenchReport, KnowsThisMachine) {
  const Machine machine = this_machine();
  EXPECT_FALSE(machine.cpu.empty());
  EXPECT_GE(machine.cores, 1u);
  EXPECT_GT(machine.memory, 1u << 26);
  EXPECT_TRUE(machine.kernel.starts_with("Linux ")) << machine.kernel;
}

}  // namespace
}  // namespace mooncake::cli
