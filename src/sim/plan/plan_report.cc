#include "sim/plan/plan_report.h"

#include <fmt/core.h>

#include <algorithm>

namespace mooncake::sim {
namespace {

Table table_of(std::span<const PlannedCluster> clusters) {
  Table table{.title = "Feasible clusters, the smallest first",
              .columns = {"nodes", "prefill", "decode", "memory_gb", "ssd_gb", "link_gbps", "effective", "ttft_s_p90",
                          "tbt_ms_p90", "hit_rate", "goodput_rps"}};
  for (const PlannedCluster& cluster : clusters) {
    const ClusterReport& report = cluster.report;
    table.rows.push_back({static_cast<double>(cluster.nodes()), static_cast<double>(cluster.prefill),
                          static_cast<double>(cluster.decode), cluster.memory_gb, cluster.ssd_gb, cluster.link_gbps,
                          report.effective_fraction, report.ttft_s ? Cell(report.ttft_s->p90) : Cell(),
                          report.tbt_ms ? Cell(report.tbt_ms->p90) : Cell(), report.hit_rate_prefix_block,
                          report.goodput_rps});
  }
  return table;
}

Chart chart_of(const PlanQuestion& question, std::span<const PlannedCluster> clusters) {
  Chart chart{
      .title = "Nodes that are needed", .x_name = "GB for KVCache a prefill node", .y_name = "nodes", .log_x = true};
  chart.x = question.memory_gb;
  std::ranges::sort(chart.x);
  for (const double ssd_gb : question.ssd_gb) {
    for (const double gbps : question.link_gbps) {
      Series series{.name = ssd_gb == 0 ? fmt::format("{:.0f} Gb/s", gbps)
                                        : fmt::format("{:.0f} Gb/s, {:.0f} GB of SSD", gbps, ssd_gb)};
      for (const double memory_gb : chart.x) {
        const auto found = std::ranges::find_if(clusters, [&](const PlannedCluster& cluster) {
          return cluster.memory_gb == memory_gb && cluster.ssd_gb == ssd_gb && cluster.link_gbps == gbps;
        });
        series.y.push_back(found == clusters.end() ? std::nullopt : std::optional<double>(found->nodes()));
      }
      chart.series.push_back(std::move(series));
    }
  }
  return chart;
}

}  // namespace

Report plan_report(const PlanQuestion& question, std::span<const PlannedCluster> clusters) {
  Report report{.name = "plan",
                .title = fmt::format("Clusters that serve {:.4g} % of the requests within {:.4g} s and {:.4g} ms",
                                     question.target * 100, to_ms(question.slo.ttft) / 1e3, to_ms(question.slo.tbt))};
  report.tables = {table_of(clusters)};
  report.charts = {chart_of(question, clusters)};
  report.notes = {clusters.empty()
                      ? fmt::format("No cluster with up to {} nodes of a role does.", kPlanNodesMax)
                      : fmt::format("The smallest: {} prefill and {} decode nodes with {:.0f} GB for KVCache, "
                                    "{:.0f} GB of SSD below it and {:.0f} Gb/s each.",
                                    clusters.front().prefill, clusters.front().decode, clusters.front().memory_gb,
                                    clusters.front().ssd_gb, clusters.front().link_gbps),
                  fmt::format("Every line is the smallest cluster that was found for its memory, SSDs and network; a "
                              "node reads {:.0f} Gb/s "
                              "from its SSDs. Requests are never refused "
                              "here: who is late counts as not served.",
                              question.ssd_gbps)};
  return report;
}

}  // namespace mooncake::sim
