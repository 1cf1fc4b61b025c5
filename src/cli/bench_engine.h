// `mooncake bench engine`: measures one engine, in this process, and fits the cost profile that the Conductor and the
// simulator should use for it on this machine.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/bench_report.h"
#include "engine/engine.h"
#include "kvcache/cost_fit.h"

namespace mooncake::cli {

struct BenchEngineOptions {
  engine::EngineConfig engine;  ///< kind, path of the model, threads; the rest is chosen here
  std::string output;           ///< file for the profile; empty: MODEL.profile.json in the current directory
  std::string json;             ///< file for the report; empty: none
};

/// Measures, fits, prints the table, writes profile and report. @return the exit status; errors are printed.
int run_bench_engine(const BenchEngineOptions& options);

/// The report's rows: each measurement beside what the profile makes of it, the greatest deviation, and the constants,
/// of which the link's come from the built-in profile `link_source`. Pure.
std::vector<BenchRow> engine_rows(std::span<const kvcache::CostSample> samples, const kvcache::CostProfile& profile,
                                  std::string_view link_source);

}  // namespace mooncake::cli
