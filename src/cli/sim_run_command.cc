// `mooncake sim run`: a trace served by a simulated cluster under the production Conductor.
#include <fmt/core.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/json_output.h"
#include "cli/report_output.h"
#include "cli/sim_options.h"
#include "cli/tool_commands.h"
#include "cli/version.h"
#include "sim/cluster/cluster_report.h"
#include "sim/cluster/run_report.h"
#include "sim/trace/trace_reader.h"

namespace mooncake::cli {
namespace {

using Json = nlohmann::ordered_json;

void add(Json& json, std::string_view name, const std::optional<sim::Summary>& summary,
         std::initializer_list<std::pair<std::string_view, double sim::Summary::*>> parts) {
  for (const auto& [part, member] : parts) {
    json[fmt::format("{}_{}", name, part)] = summary ? Json((*summary).*member) : Json(nullptr);
  }
}

std::string to_json(const sim::ClusterReport& report, const sim::ClusterConfig& cluster, double wall_s) {
  using sim::Summary;
  Json json = {{"requests", report.requests},       {"completed", report.completed},
               {"rejected", report.rejected},       {"rejected_after_prefill", report.rejected_after_prefill},
               {"goodput_rps", report.goodput_rps}, {"effective_fraction", report.effective_fraction}};
  add(json, "ttft_s", report.ttft_s,
      {{"mean", &Summary::mean},
       {"p25", &Summary::p25},
       {"p50", &Summary::p50},
       {"p75", &Summary::p75},
       {"p90", &Summary::p90},
       {"p99", &Summary::p99}});
  add(json, "tbt_ms", report.tbt_ms,
      {{"mean", &Summary::mean}, {"p50", &Summary::p50}, {"p90", &Summary::p90}, {"p99", &Summary::p99}});
  json["hit_rate_prefix_block"] = report.hit_rate_prefix_block;
  json["prefill_s_mean"] = report.prefill_s_mean;
  json["wasted_prefill_s"] = report.wasted_prefill_s;
  json["transfers"] = report.transfers;
  if (cluster.ssd_blocks_per_node > 0) json["ssd_blocks_read"] = report.ssd_blocks_read;
  if (cluster.replicate) json["replicated_blocks"] = report.replicated_blocks;
  if (cluster.mtbf) {
    json["node_failures"] = report.node_failures;
    json["placed_again"] = report.placed_again;
    json["failed"] = report.failed;
  }
  if (cluster.elastic) {
    json["role_changes"] = report.role_changes;
    json["prefill_at_end"] = report.prefill_at_end;
  }
  json["wall_s"] = wall_s;
  return json.dump(2) + "\n";
}

void print_row(const char* name, const std::optional<sim::Summary>& summary) {
  if (!summary) return;
  fmt::print("  {:<10}{:>10.3f}{:>10.3f}{:>10.3f}{:>10.3f}{:>10.3f}\n", name, summary->mean, summary->p50, summary->p90,
             summary->p99, summary->max);
}

void print(const sim::ClusterReport& report, const sim::ClusterConfig& cluster, double wall_s) {
  fmt::print("{} requests: {} completed, {} refused, {} of them after their prefill ({:.1f} s of it wasted)\n",
             report.requests, report.completed, report.rejected, report.rejected_after_prefill,
             report.wasted_prefill_s);
  fmt::print("within both objectives: {:.2f} %, {:.3f} a second\n", report.effective_fraction * 100,
             report.goodput_rps);
  fmt::print("  {:<10}{:>10}{:>10}{:>10}{:>10}{:>10}\n", "", "mean", "p50", "p90", "p99", "max");
  print_row("TTFT, s", report.ttft_s);
  print_row("TBT, ms", report.tbt_ms);
  fmt::print("prefill {:.3f} s a request; {:.2f} % of blocks reused; {} prefixes fetched from another node\n",
             report.prefill_s_mean, report.hit_rate_prefix_block * 100, report.transfers);
  if (cluster.ssd_blocks_per_node > 0) fmt::print("{} blocks read from SSDs\n", report.ssd_blocks_read);
  if (cluster.replicate) fmt::print("{} blocks copied ahead of requests\n", report.replicated_blocks);
  if (cluster.mtbf) {
    fmt::print("{} failures of nodes; {} times a request was placed again, {} requests failed\n", report.node_failures,
               report.placed_again, report.failed);
  }
  if (cluster.elastic) {
    fmt::print("{} changes of role; {} prefill nodes at the end\n", report.role_changes, report.prefill_at_end);
  }
  fmt::print("simulated in {:.3f} s\n", wall_s);
}

Status simulate(const Invocation& invocation) {
  const Config& config = invocation.config;
  MC_ASSIGN_OR_RETURN(const sim::ClusterConfig cluster, cluster_config(config));
  const std::string& path = config.text("sim_run.trace");
  MC_ASSIGN_OR_RETURN(const sim::Trace trace, sim::read_trace_file(path));
  const auto began = std::chrono::steady_clock::now();
  MC_ASSIGN_OR_RETURN(const sim::ClusterResult result, sim::run_cluster(trace, cluster));
  const sim::ClusterReport report = sim::report_cluster(trace, cluster.slo, result);
  const double wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  const std::string& json = config.text("sim_run.json");
  if (json != kJsonToStdout) print(report, cluster, wall_s);
  MC_RETURN_IF_ERROR(write_json(json, to_json(report, cluster, wall_s)));
  const std::string& page = config.text("sim_run.html");
  if (page.empty()) return {};
  sim::Report charted = sim::run_report(trace, cluster, result);
  charted.setting.emplace(charted.setting.begin(), "trace", std::filesystem::path(path).filename().string());
  charted.setting.emplace_back("commit", commit());
  return publish_page(charted, json, page, invocation.environment);
}

}  // namespace

int run_sim_run(const Invocation& invocation) {
  if (invocation.config.text("sim_run.trace").empty()) {
    (void)fail(Status(Code::kInvalidArgument, "--trace is missing: the file with the requests to serve"));
    return kExitUsage;
  }
  const Status status = simulate(invocation);
  if (status.ok()) return kExitOk;
  (void)fail(status);
  return status.code() == Code::kInvalidArgument ? kExitUsage : kExitFailure;
}

}  // namespace mooncake::cli
