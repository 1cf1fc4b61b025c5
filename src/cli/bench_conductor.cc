#include "cli/bench_conductor.h"

#include "cli/command.h"
#include "cli/tool_commands.h"
#include "cli/version.h"

namespace mooncake::cli {
namespace {

Result<std::vector<BenchRow>> measure(const BenchConductorOptions& options) {
  MC_ASSIGN_OR_RETURN(std::vector<BenchRow> rows, bench_prefix_index(options));
  MC_ASSIGN_OR_RETURN(std::vector<BenchRow> decisions, bench_decisions(options));
  rows.insert(rows.end(), decisions.begin(), decisions.end());
  return rows;
}

}  // namespace

int run_bench_conductor(const BenchConductorOptions& options) {
  auto rows = measure(options);
  if (!rows.ok()) return fail(rows.status());
  const Status published = publish({.benchmark = "conductor",
                                    .commit = std::string(commit()),
                                    .machine = this_machine(),
                                    .settings = {{"blocks", std::to_string(options.blocks)},
                                                 {"lookups", std::to_string(options.lookups)},
                                                 {"decisions", std::to_string(options.decisions)},
                                                 {"seed", std::to_string(options.seed)}},
                                    .rows = std::move(*rows)},
                                   options.json);
  return published.ok() ? kExitOk : fail(published);
}

int run_bench_conductor_command(const Invocation& invocation) {
  const Config& config = invocation.config;
  const auto count = [&](std::string_view key) { return static_cast<std::uint64_t>(config.integer(key)); };
  return run_bench_conductor({.json = config.text("bench_conductor.json"),
                              .blocks = count("bench_conductor.blocks"),
                              .lookups = count("bench_conductor.lookups"),
                              .decisions = count("bench_conductor.decisions"),
                              .seed = count("bench_conductor.seed")});
}

}  // namespace mooncake::cli
