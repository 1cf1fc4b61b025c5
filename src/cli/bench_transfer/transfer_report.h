// The report of `mooncake bench transfer` and `mooncake transfer bench`: the schema of all benchmarks (bench_report.h),
// and in it
//
//   "targets": [{"path", "name", "unit", "ours", "baseline", "baseline_value", "ratio", "ratios", "goal", "limit",
//                "verdict"}]
//   "sweep":   [{"transport", "op", "block_bytes", "batch", "threads", "gb_per_s", "operations_per_s",
//   "latency_us_p50",
//                "latency_us_p99", "cpu_s_per_gb"}]
//   "rounds":  {series: [the figure of each round]}
//
// A latency is that of a whole batch; CPU time is that of both processes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/bench_transfer/sweep.h"
#include "cli/bench_transfer/targets.h"

namespace mooncake::cli {

struct TransferReport {
  std::string benchmark;
  std::map<std::string, std::string> settings;
  std::vector<SweepCell> sweep;
  std::vector<Judgement> targets;  ///< none: only a sweep was asked for
  Series rounds;
};

/// Prints the tables and writes the JSON to where --json says, as publish() of bench_report.h.
Status publish_transfer(const TransferReport& report, const std::string& json);

}  // namespace mooncake::cli
