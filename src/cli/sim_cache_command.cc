// `mooncake sim cache`: a trace through caches, hit rates out.
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "cli/json_output.h"
#include "cli/sim_options.h"
#include "cli/tool_commands.h"
#include "sim/cache/cache_replay.h"
#include "sim/trace/trace_reader.h"

namespace mooncake::cli {
namespace {

Result<sim::CacheReplayConfig> replay_config(const Config& config) {
  sim::CacheReplayConfig replay;
  replay.policy = config.text("sim_cache.policy");
  MC_ASSIGN_OR_RETURN(replay.capacity_blocks,
                      parse_capacity("--capacity-blocks", config.text("sim_cache.capacity_blocks")));
  replay.nodes = static_cast<std::uint32_t>(config.integer("sim_cache.nodes"));
  if (config.text("sim_cache.routing") == "round-robin") replay.routing = sim::CacheRouting::kRoundRobin;
  return replay;
}

std::string to_json(const sim::CacheReplayReport& report) {
  const nlohmann::ordered_json json = {{"requests", report.requests},
                                       {"block_refs", report.block_refs},
                                       {"distinct_blocks", report.distinct_blocks},
                                       {"hit_rate_prefix_block", report.hit_rate_prefix_block},
                                       {"hit_rate_block", report.hit_rate_block},
                                       {"hit_rate_prefix_token", report.hit_rate_prefix_token}};
  return json.dump(2) + "\n";
}

void print(const sim::CacheReplayReport& report) {
  fmt::print("{} requests use {} blocks, {} of them different\n", report.requests, report.block_refs,
             report.distinct_blocks);
  fmt::print("  leading blocks found  {:6.2f} % of blocks, {:.2f} % of tokens\n", report.hit_rate_prefix_block * 100,
             report.hit_rate_prefix_token * 100);
  fmt::print("  blocks found          {:6.2f} % of blocks\n", report.hit_rate_block * 100);
}

Status replay(const Config& config) {
  MC_ASSIGN_OR_RETURN(const sim::CacheReplayConfig wanted, replay_config(config));
  MC_ASSIGN_OR_RETURN(const sim::Trace trace, sim::read_trace_file(config.text("sim_cache.trace")));
  MC_ASSIGN_OR_RETURN(const sim::CacheReplayReport report, sim::replay_cache(trace, wanted));
  const std::string& json = config.text("sim_cache.json");
  if (json != kJsonToStdout) print(report);
  return write_json(json, to_json(report));
}

}  // namespace

int run_sim_cache(const Invocation& invocation) {
  if (invocation.config.text("sim_cache.trace").empty()) {
    (void)fail(Status(Code::kInvalidArgument, "--trace is missing: the file with the requests to replay"));
    return kExitUsage;
  }
  const Status status = replay(invocation.config);
  if (status.ok()) return kExitOk;
  (void)fail(status);
  return status.code() == Code::kInvalidArgument ? kExitUsage : kExitFailure;
}

}  // namespace mooncake::cli
