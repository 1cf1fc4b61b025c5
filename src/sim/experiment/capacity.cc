// How many requests a disaggregated cluster serves within its objectives, and how many the same nodes serve coupled:
// Figure 1, and the real workload of arXiv 2407.00079 on 10P10D against 20 nodes.
#include <fmt/core.h>

#include <array>
#include <functional>

#include "sim/coupled/coupled_cluster.h"
#include "sim/experiment/experiment.h"
#include "sim/experiment/highest_speed.h"
#include "sim/experiment/paper_cluster.h"

namespace mooncake::sim {
namespace {

// Figure 8: prefill in chunks took 2.021 s a request where whole prompts took 1.661.
constexpr double kChunkOverhead = 2.021 / 1.661;
constexpr std::array kObjectivesMs = {100, 200, 300};

struct Engine {
  const char* name;
  bool prefix_cache;
  std::optional<std::uint32_t> chunk_tokens;
  std::optional<std::array<double, 3>> published;  // Figure 1, at 100, 200 and 300 ms
};
const std::array kEngines = {Engine{"coupled", false, std::nullopt, std::array{.162, .390, .628}},
                             Engine{"coupled, prefix cache", true, std::nullopt, std::array{.152, .344, .563}},
                             Engine{"coupled, chunks of 256", false, 256, std::nullopt},
                             Engine{"coupled, chunks of 512", false, 512, std::array{.095, .289, .558}},
                             Engine{"coupled, chunks of 2048", false, 2048, std::nullopt}};
constexpr std::array kMooncakePublished = {.966, 1.0, 1.0};

CoupledConfig coupled_config(std::uint32_t nodes, const Engine& engine) {
  CoupledConfig config;
  config.nodes = nodes;
  config.profile = paper_cluster(1, 1).profile;
  config.prefix_cache = engine.prefix_cache;
  config.chunk_tokens = engine.chunk_tokens;
  config.chunk_overhead = engine.chunk_tokens ? kChunkOverhead : 1;
  return config;
}

kvcache::Slo objectives(int tbt_ms) { return {.ttft = Seconds(30), .tbt = Millis(tbt_ms)}; }

/// One row: name, then for each objective ours and the published share.
std::vector<Cell> figure_1_row(const Trace& trace, std::string name, const ClusterResult& result,
                               const std::optional<std::array<double, 3>>& published) {
  std::vector<Cell> row = {std::move(name)};
  for (std::size_t i = 0; i < kObjectivesMs.size(); ++i) {
    row.emplace_back(report_cluster(trace, objectives(kObjectivesMs[i]), result).effective_fraction);
    row.push_back(published ? Cell((*published)[i]) : Cell());
  }
  return row;
}

Result<Table> figure_1(const ExperimentInput& input) {
  constexpr std::uint32_t kNodes = 16;
  Table table{.title = "Effective requests on 16 nodes, beside Figure 1", .columns = {"cluster"}};
  for (const int tbt_ms : kObjectivesMs) {
    table.columns.push_back(fmt::format("TBT {} ms", tbt_ms));
    table.columns.push_back(fmt::format("published {} ms", tbt_ms));
  }
  for (const std::uint32_t prefill : {8u, 10u, 12u}) {
    input.progress(split_name(prefill, kNodes - prefill));
    MC_ASSIGN_OR_RETURN(const ClusterResult result, run_cluster(input.trace, paper_cluster(prefill, kNodes - prefill)));
    table.rows.push_back(figure_1_row(input.trace, split_name(prefill, kNodes - prefill), result, kMooncakePublished));
  }
  for (const Engine& engine : kEngines) {
    input.progress(engine.name);
    MC_ASSIGN_OR_RETURN(const ClusterResult result, run_coupled(input.trace, coupled_config(kNodes, engine)));
    table.rows.push_back(figure_1_row(input.trace, engine.name, result, engine.published));
  }
  return table;
}

/// The share of requests within their objectives if arrivals come so many times as fast.
using Effective = std::function<Result<double>(double speed)>;

/// 10P10D, and each engine on 20 coupled nodes.
std::vector<std::pair<std::string, Effective>> twenty_nodes(const Trace& trace) {
  std::vector<std::pair<std::string, Effective>> clusters;
  clusters.emplace_back("10P10D", [&trace](double speed) -> Result<double> {
    ClusterConfig config = paper_cluster(10, 10);
    config.speed = speed;
    MC_ASSIGN_OR_RETURN(const ClusterReport report, run_and_report(trace, config));
    return report.effective_fraction;
  });
  for (const Engine& engine : kEngines) {
    clusters.emplace_back(engine.name, [&trace, &engine](double speed) -> Result<double> {
      CoupledConfig config = coupled_config(20, engine);
      config.speed = speed;
      MC_ASSIGN_OR_RETURN(const ClusterResult result, run_coupled(trace, config));
      return report_cluster(trace, objectives(100), result).effective_fraction;
    });
  }
  return clusters;
}

Result<Chart> by_speed(const ExperimentInput& input) {
  constexpr std::array kSpeeds = {0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0};
  Chart chart{.title = "10P10D against 20 coupled nodes, TTFT within 30 s, TBT within 100 ms",
              .x_name = "speed of the arrivals",
              .y_name = "effective requests",
              .x = {kSpeeds.begin(), kSpeeds.end()}};
  for (const auto& [name, effective] : twenty_nodes(input.trace)) {
    Series& series = chart.series.emplace_back(Series{.name = name});
    for (const double speed : kSpeeds) {
      input.progress(fmt::format("{} at {}x", name, speed));
      MC_ASSIGN_OR_RETURN(const double share, effective(speed));
      series.y.emplace_back(share);
    }
  }
  return chart;
}

/// How fast requests may come while kServed of them are within their objectives.
Result<Table> capacities(const ExperimentInput& input) {
  constexpr double kServed = 0.9;
  Table table{.title = "Effective request capacity of 20 nodes: 90 % within 30 s and 100 ms",
              .columns = {"cluster", "times the trace's rate", "10P10D serves more, %"}};
  double disaggregated = 0;
  for (const auto& [name, effective] : twenty_nodes(input.trace)) {
    input.progress(fmt::format("capacity of {}", name));
    const auto serves = [&](double speed) -> Result<bool> {
      MC_ASSIGN_OR_RETURN(const double share, effective(speed));
      return share >= kServed;
    };
    MC_ASSIGN_OR_RETURN(const double speed, highest_speed(0.05, 20, serves));
    const bool first = table.rows.empty();
    if (first) disaggregated = speed;
    table.rows.push_back({name, speed, first ? Cell() : Cell((disaggregated / speed - 1) * 100)});
  }
  return table;
}

Table table_of(const Chart& chart) {
  Table table{.title = chart.title, .columns = {"speed"}};
  for (const Series& series : chart.series) table.columns.push_back(series.name);
  table.columns.push_back("10P10D / coupled");
  table.columns.push_back("10P10D / best coupled");
  for (std::size_t i = 0; i < chart.x.size(); ++i) {
    std::vector<Cell> row = {chart.x[i]};
    double best = 0;
    for (std::size_t k = 0; k < chart.series.size(); ++k) {
      row.emplace_back(*chart.series[k].y[i]);
      if (k > 0) best = std::max(best, *chart.series[k].y[i]);
    }
    const double plain = *chart.series[1].y[i];
    row.push_back(plain > 0 ? Cell(*chart.series[0].y[i] / plain) : Cell());
    row.push_back(best > 0 ? Cell(*chart.series[0].y[i] / best) : Cell());
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace

Result<Report> run_capacity(const ExperimentInput& input) {
  Report report{.name = "capacity", .title = "Requests within their objectives: disaggregated and coupled"};
  MC_ASSIGN_OR_RETURN(Table one, figure_1(input));
  MC_ASSIGN_OR_RETURN(Chart speeds, by_speed(input));
  MC_ASSIGN_OR_RETURN(Table most, capacities(input));
  report.tables = {std::move(one), table_of(speeds), std::move(most)};
  report.charts.push_back(std::move(speeds));
  report.notes = {
      "A coupled node computes a prompt between two steps, so everybody who generates there waits for it; with chunks "
      "each step carries a part of one instead. Steps and prompts take what the profile says, as in the disaggregated "
      "cluster; chunks cost 2.021 / 1.661 as much (Figure 8). docs/simulator.md defends the model.",
      "The published advantage on the real workload, +75 % requests, is 100 % of requests within their objectives on "
      "10P10D against 57 % on 20 coupled nodes; at speed 1 the column before the last is ours. Our coupled nodes do "
      "better than the published ones, at every objective of Figure 1: theirs is an engine with overheads of its own, "
      "ours has none but the profile's. The last table asks how many requests either could serve.",
      "Chunks of 256 tokens, which nobody published, keep a TBT of 100 ms nearly as well as disaggregation up to the "
      "rate of the trace; then prompts, which chunks make more expensive, take more than there is."};
  return report;
}

}  // namespace mooncake::sim
