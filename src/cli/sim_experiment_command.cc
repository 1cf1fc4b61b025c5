// `mooncake sim --experiment NAME`: one of the experiments, as a table, JSON and a page for a browser.
#include <fmt/core.h>

#include <filesystem>

#include "cli/report_output.h"
#include "cli/tool_commands.h"
#include "cli/version.h"
#include "sim/experiment/experiment.h"
#include "sim/trace/generator.h"
#include "sim/trace/trace_reader.h"

namespace mooncake::cli {
namespace {

/// When no trace is given, one like the published conversation trace stands in.
constexpr std::uint64_t kStandInRequests = 12'031;

struct Source {
  sim::Trace trace;
  std::string name;
};

Result<Source> source_of(const Config& config) {
  const std::string& path = config.text("sim.trace");
  if (!path.empty()) {
    MC_ASSIGN_OR_RETURN(sim::Trace trace, sim::read_trace_file(path));
    return Source{std::move(trace), std::filesystem::path(path).filename().string()};
  }
  MC_ASSIGN_OR_RETURN(const sim::WorkloadShape shape, sim::workload_shape("conversation"));
  const auto seed = static_cast<std::uint64_t>(config.integer("sim.seed"));
  return Source{sim::generate_trace(shape, kStandInRequests, seed), "generated conversation (no --trace given)"};
}

Status run(const Invocation& invocation) {
  const Config& config = invocation.config;
  MC_ASSIGN_OR_RETURN(const sim::Experiment experiment, sim::experiment(config.text("sim.experiment")));
  MC_ASSIGN_OR_RETURN(const Source source, source_of(config));
  MC_ASSIGN_OR_RETURN(sim::Report report,
                      experiment.run({.trace = source.trace,
                                      .trace_name = source.name,
                                      .seed = static_cast<std::uint64_t>(config.integer("sim.seed")),
                                      .progress = show_progress}));
  show_progress("");
  report.setting = {{"trace", source.name}, {"profile", "llama3-70b@8xA800"}, {"commit", std::string(commit())}};
  return publish_report(report, config.text("sim.json"), config.text("sim.html"), invocation.environment);
}

}  // namespace

int run_sim_experiment(const Invocation& invocation) {
  if (invocation.config.text("sim.experiment").empty()) {
    std::string names;
    for (const sim::Experiment& known : sim::experiments())
      names += fmt::format("\n  {:<16} {}", known.name, known.question);
    (void)fail(Status(Code::kInvalidArgument, "--experiment is missing, or a subcommand; the experiments are" + names));
    return kExitUsage;
  }
  const Status status = run(invocation);
  if (status.ok()) return kExitOk;
  (void)fail(status);
  return status.code() == Code::kInvalidArgument ? kExitUsage : kExitFailure;
}

}  // namespace mooncake::cli
