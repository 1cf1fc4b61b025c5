#include "cli/bench_transfer/transfer_report.h"

#include <fmt/core.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/bench_stats.h"
#include "cli/json_output.h"
#include "cli/version.h"

namespace mooncake::cli {
namespace {

using Json = nlohmann::ordered_json;

Json number(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

std::string_view goal_name(Goal goal) {
  if (goal == Goal::kAtLeast) return "at_least";
  return goal == Goal::kAtMost ? "at_most" : "reported";
}

Json target_json(const Judgement& row) {
  const Target& target = row.target;
  return {{"path", target.path},
          {"name", target.series},
          {"unit", target.unit},
          {"ours", number(row.ours)},
          {"baseline", target.baseline.empty() ? Json(nullptr) : Json(target.baseline)},
          {"baseline_value", number(row.baseline)},
          {"ratio", number(row.ratio)},
          {"ratios", row.ratios},
          {"goal", goal_name(target.goal)},
          {"limit", target.goal == Goal::kReported ? Json(nullptr) : Json(target.limit)},
          {"verdict", row.verdict()}};
}

Json cell_json(const SweepCell& cell) {
  return {{"transport", cell.transport},
          {"op", op_name(cell.shape.op)},
          {"block_bytes", cell.shape.block_bytes},
          {"batch", cell.shape.batch},
          {"threads", cell.shape.threads},
          {"gb_per_s", cell.result.gb_per_s()},
          {"operations_per_s", cell.result.operations_per_s()},
          {"latency_us_p50", percentile(cell.result.latency_us, 50)},
          {"latency_us_p99", percentile(cell.result.latency_us, 99)},
          {"cpu_s_per_gb", cell.result.cpu_s_per_gb()}};
}

std::string transfer_json(const BenchReport& common, const TransferReport& report) {
  Json json = Json::parse(report_json(common));
  json["targets"] = Json::array();
  for (const Judgement& row : report.targets) json["targets"].push_back(target_json(row));
  json["sweep"] = Json::array();
  for (const SweepCell& cell : report.sweep) json["sweep"].push_back(cell_json(cell));
  json["rounds"] = report.rounds;
  return json.dump(2) + "\n";
}

}  // namespace

Status publish_transfer(const TransferReport& report, const std::string& json) {
  const BenchReport common{.benchmark = report.benchmark,
                           .commit = std::string(commit()),
                           .machine = this_machine(),
                           .settings = report.settings,
                           .rows = target_rows(report.targets)};
  if (json != kJsonToStdout) {
    fmt::print("{}", report_headline(common));
    if (const auto load = common.settings.find("load_before"); load != common.settings.end()) {
      fmt::print("  load average before: {}, on {} cores\n", load->second, common.machine.cores);
    }
    if (!report.sweep.empty()) fmt::print("{}", sweep_table(report.sweep));
    if (!report.targets.empty()) fmt::print("\n{}", targets_table(report.targets));
    std::fflush(stdout);
  }
  return write_json(json, transfer_json(common, report));
}

}  // namespace mooncake::cli
