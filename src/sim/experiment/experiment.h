// Experiment: a question about the architecture that the simulator answers, beside the published answer where there is
// one. Each is one function from a trace to a report.
//
// Pure; deterministic but for `progress`.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "sim/report/report.h"
#include "sim/trace/trace.h"

namespace mooncake::sim {

struct ExperimentInput {
  const Trace& trace;      ///< a real workload, with blocks
  std::string trace_name;  ///< for people
  std::uint64_t seed = 0;  ///< of everything that is drawn
  /// Told what is being run, for a person who waits.
  std::function<void(const std::string&)> progress = [](const std::string&) {};
};

struct Experiment {
  std::string_view name;      ///< "cache-capacity"
  std::string_view question;  ///< one line
  Result<Report> (*run)(const ExperimentInput& input);
};

/// All of them, in the order of docs/simulator.md.
std::span<const Experiment> experiments();

/// @return kInvalidArgument, naming them.
Result<Experiment> experiment(std::string_view name);

Result<Report> run_request_cost(const ExperimentInput& input);
Result<Report> run_cache_capacity(const ExperimentInput& input);
Result<Report> run_placement(const ExperimentInput& input);
Result<Report> run_pd_ratio(const ExperimentInput& input);
Result<Report> run_capacity(const ExperimentInput& input);
Result<Report> run_overload(const ExperimentInput& input);
Result<Report> run_long_context(const ExperimentInput& input);
Result<Report> run_staleness(const ExperimentInput& input);
Result<Report> run_miscalibration(const ExperimentInput& input);

}  // namespace mooncake::sim
