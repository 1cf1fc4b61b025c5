// `mooncake sim --experiment NAME`: one of the experiments, as a table, JSON and a page for a browser.
#include <fmt/core.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/json_output.h"
#include "cli/tool_commands.h"
#include "cli/version.h"
#include "sim/experiment/experiment.h"
#include "sim/report/html.h"
#include "sim/trace/generator.h"
#include "sim/trace/trace_reader.h"

namespace mooncake::cli {
namespace {

/// Put there by tools/charts, which names it in the same way.
constexpr std::string_view kChartsDirectory = "charts/uplot-1.6.32";
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

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) {
    return Status(Code::kNotFound, fmt::format("{} is missing, which draws the charts: `tools/charts` in a checkout of "
                                               "Mooncake gets it",
                                               path));
  }
  return text.str();
}

/// Overwrites a line on a terminal; silent elsewhere.
void show_progress(const std::string& what) {
  if (::isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r\033[K{}", what);
}

Status write_page(const sim::Report& report, const std::string& path, const Environment& environment) {
  const std::string charts = fmt::format("{}/{}", cache_dir(environment), kChartsDirectory);
  MC_ASSIGN_OR_RETURN(const std::string script, read_file(charts + "/uPlot.iife.min.js"));
  MC_ASSIGN_OR_RETURN(const std::string style, read_file(charts + "/uPlot.min.css"));
  return write_json(path, sim::report_html(report, {.script = script, .style = style}));
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
  const std::string& json = config.text("sim.json");
  if (json != kJsonToStdout) fmt::print("{}", sim::report_text(report));
  MC_RETURN_IF_ERROR(write_json(json, sim::report_json(report)));
  const std::string& page = config.text("sim.html");
  if (page.empty()) return {};
  MC_RETURN_IF_ERROR(write_page(report, page, invocation.environment));
  if (json != kJsonToStdout) fmt::print("\n{} shows it with charts.\n", page);
  return {};
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
