#include "sim/cluster/run_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "sim/cluster/cluster_report.h"
#include "sim/cluster/cluster_timeline.h"
#include "sim/cluster/instance_use.h"
#include "sim/cluster/node_roles.h"
#include "sim/cluster/prefill_gantt.h"
#include "sim/cluster/run_charts.h"

namespace mooncake::sim {
namespace {

double seconds(Nanos time) { return to_ms(time) / 1e3; }

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

double number(std::uint64_t count) { return static_cast<double>(count); }

std::vector<std::pair<std::string, std::string>> setting_of(const ClusterConfig& config) {
  const auto& blocks = config.cache_blocks_per_node;
  std::string roles = fmt::format("{}P{}D", config.prefill, config.decode);
  if (config.prefill_only) roles += ", prefill only";
  if (config.elastic) roles += ", elastic";
  if (config.replicate) roles += ", replicating";
  std::string cache = blocks ? fmt::format("{} blocks", *blocks) : "no limit";
  if (config.ssd_blocks_per_node > 0) {
    cache += fmt::format(", {} on SSDs of {:.6g} Gb/s", config.ssd_blocks_per_node, config.ssd_gbps);
  }
  const auto failures = [&] {
    return config.mtbf ? fmt::format("every {:.6g} s a node, back after {:.6g} s", seconds(*config.mtbf),
                                     seconds(config.repair))
                       : std::string("none");
  };
  return {{"cluster", std::move(roles)},
          {"placement", std::string(conductor::placement_name(config.placement))},
          {"admission", std::string(conductor::admission_name(config.admission))},
          {"objectives", fmt::format("TTFT {:.6g} s, TBT {:.6g} ms", seconds(config.slo.ttft), to_ms(config.slo.tbt))},
          {"speed", fmt::format("{:.6g}", config.speed)},
          {"seed", fmt::format("{}", config.seed)},
          {"eviction", config.eviction},
          {"cache of a node", std::move(cache)},
          {"network", fmt::format("{:.6g} Gb/s a node", config.link_gbps)},
          {"failures", failures()},
          {"profile", config.profile.name}};
}

/// By the names that the JSON has.
Table figures(const ClusterConfig& config, const ClusterReport& report) {
  Table table{.title = "Figures", .columns = {"figure", "value"}};
  const auto add = [&](const char* name, double value) { table.rows.push_back({std::string(name), value}); };
  add("requests", number(report.requests));
  add("completed", number(report.completed));
  add("rejected", number(report.rejected));
  add("rejected_after_prefill", number(report.rejected_after_prefill));
  add("wasted_prefill_s", report.wasted_prefill_s);
  add("goodput_rps", report.goodput_rps);
  add("effective_fraction", report.effective_fraction);
  add("hit_rate_prefix_block", report.hit_rate_prefix_block);
  add("prefill_s_mean", report.prefill_s_mean);
  add("transfers", number(report.transfers));
  if (config.ssd_blocks_per_node > 0) add("ssd_blocks_read", number(report.ssd_blocks_read));
  if (config.replicate) add("replicated_blocks", number(report.replicated_blocks));
  if (config.mtbf) {
    add("node_failures", number(report.node_failures));
    add("placed_again", number(report.placed_again));
    add("failed", number(report.failed));
  }
  if (config.elastic) add("role_changes", number(report.role_changes));
  if (config.elastic) add("prefill_at_end", report.prefill_at_end);
  return table;
}

Table latencies(const ClusterReport& report) {
  Table table{.title = "Latencies of completed requests",
              .columns = {"latency", "mean", "p25", "p50", "p75", "p90", "p99", "max"}};
  const auto add = [&](const char* name, const std::optional<Summary>& summary) {
    if (!summary) return;
    table.rows.push_back({std::string(name), summary->mean, summary->p25, summary->p50, summary->p75, summary->p90,
                          summary->p99, summary->max});
  };
  add("ttft_s", report.ttft_s);
  add("tbt_ms", report.tbt_ms);
  return table;
}

Table refusals(const ClusterResult& result) {
  struct Count {
    std::uint64_t requests = 0;
    std::uint64_t after_prefill = 0;
  };
  std::array<Count, conductor::kRefusalKinds> counts{};
  Count all;
  for (const RequestOutcome& outcome : result.requests) {
    if (!outcome.rejected()) continue;
    for (Count* count : {&counts[static_cast<std::size_t>(outcome.refusal)], &all}) {
      ++count->requests;
      count->after_prefill += outcome.outcome == Outcome::kRejectedAfterPrefill ? 1 : 0;
    }
  }
  Table table{.title = "Refused, by reason", .columns = {"reason", "requests", "of all requests", "after prefill"}};
  const auto add = [&](std::string_view name, const Count& count) {
    table.rows.push_back({std::string(name), number(count.requests),
                          ratio(number(count.requests), number(result.requests.size())), number(count.after_prefill)});
  };
  for (std::size_t kind = 0; kind < counts.size(); ++kind) {
    if (counts[kind].requests > 0) add(conductor::refusal_name(conductor::RefusalKind(kind)), counts[kind]);
  }
  add("all", all);
  return table;
}

/// Of so many instances.
std::size_t named_one_by_one(std::size_t instances) { return std::min<std::size_t>(instances, kInstancesShownMax); }

Table prefill_table(const std::vector<PrefillUse>& uses, double span_s) {
  Table table{.title = "Prefill instances",
              .columns = {"instance", "busy share", "prompts", "refused after prefill", "hit rate"}};
  for (std::size_t i = 0; i < named_one_by_one(uses.size()); ++i) {
    const PrefillUse& use = uses[i];
    const bool reads = use.prompt_blocks > 0;
    table.rows.push_back({fmt::format("prefill-{}", i), ratio(seconds(use.busy), span_s), number(use.prompts),
                          number(use.wasted),
                          reads ? Cell(number(use.reused_blocks) / number(use.prompt_blocks)) : Cell()});
  }
  return table;
}

Table decode_table(const std::vector<DecodeUse>& uses, double span_s) {
  Table table{.title = "Decode instances", .columns = {"instance", "busy share", "requests", "at once, mean"}};
  for (std::size_t i = 0; i < named_one_by_one(uses.size()); ++i) {
    table.rows.push_back({fmt::format("decode-{}", i), ratio(seconds(uses[i].busy), span_s), number(uses[i].requests),
                          ratio(seconds(uses[i].request_time), span_s)});
  }
  return table;
}

std::vector<std::string> notes_of(const ClusterConfig& config, const InstanceSlots& slots,
                                  const ClusterTimeline& timeline) {
  std::vector<std::string> notes = {fmt::format(
      "Time is virtual. Every point over time stands for a window of {:.4g} s: numbers of prompts and requests are "
      "means over it; rates are of the requests that arrived in it, so that who arrived and was neither in time nor "
      "refused was late, or failed; the hit rate is of the prompts whose prefill began in it.",
      seconds(timeline.window))};
  notes.emplace_back(
      "A request is in decode from its first token to its last, on the way to the decode instance included. Instances "
      "are busy as a share of the whole run, from the first arrival to the last token.");
  if (config.mtbf) {
    notes.emplace_back(
        "What instances did is shown for the attempt that gave a request its first token, and decode as if it had "
        "ended "
        "where it began: what failures made them do again is left out.");
  }
  if (config.elastic) {
    notes.emplace_back("Roles are elastic: prefill-3 and decode-3 are one node, which has one of the roles at a time.");
  }
  if (std::max(slots.prefill, slots.decode) > kInstancesShownMax) {
    notes.push_back(fmt::format("Of {} prefill and {} decode instances the first {} of each are named one by one.",
                                slots.prefill, slots.decode, kInstancesShownMax));
  }
  return notes;
}

}  // namespace

Report run_report(const Trace& trace, const ClusterConfig& config, const ClusterResult& result) {
  const ClusterReport summary = report_cluster(trace, config.slo, result);
  const ClusterTimeline timeline = cluster_timeline(trace, config.slo, result);
  const InstanceSlots slots = instance_slots(config);
  const RunSpan span = run_span(result);
  const double span_s = seconds(span.end - span.begin);
  const auto served = std::ranges::count_if(
      result.requests, [&](const RequestOutcome& outcome) { return in_time(config.slo, outcome); });
  Report report{.name = "run",
                .title = fmt::format("A simulated run: {} of {} requests in time", served, summary.requests),
                .setting = setting_of(config),
                .notes = notes_of(config, slots, timeline),
                .charts = run_charts(config.slo, result, timeline)};
  if (auto gantt = prefill_gantt(result, timeline, slots.prefill)) report.gantts.push_back(std::move(*gantt));
  report.tables = {figures(config, summary)};
  if (summary.ttft_s) report.tables.push_back(latencies(summary));
  report.tables.push_back(refusals(result));
  report.tables.push_back(prefill_table(prefill_use(trace, result, slots.prefill), span_s));
  if (!config.prefill_only) report.tables.push_back(decode_table(decode_use(result, slots.decode), span_s));
  return report;
}

}  // namespace mooncake::sim
