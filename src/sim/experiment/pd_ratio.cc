// 16 nodes from 5P11D to 11P5D on a synthetic workload: Figure 15.
#include <fmt/core.h>

#include <array>

#include "sim/experiment/experiment.h"
#include "sim/experiment/paper_cluster.h"
#include "sim/report/deviation.h"
#include "sim/trace/generator.h"

namespace mooncake::sim {
namespace {

struct Published {
  std::uint32_t prefill;
  double effective;
  double ttft_s;
  double tbt_ms;
};
constexpr std::uint32_t kNodes = 16;
constexpr std::array kPublished = {Published{5, .777, 5.74, 31.5}, Published{6, .972, 1.71, 31.8},
                                   Published{7, .991, 1.30, 32.9}, Published{8, .990, 1.19, 35.0},
                                   Published{9, .992, 1.12, 38.2}, Published{10, .984, 1.11, 44.2},
                                   Published{11, .861, 1.14, 58.3}};
constexpr std::uint64_t kRequests = 3'993;
// The rate is not published; these lie around the one that five prefill nodes can just serve.
constexpr std::array kRates = {5.0, 5.5, 6.0, 6.5, 7.0};

struct Sweep {
  double rate = 0;
  std::vector<ClusterReport> fixed{};    // one a split
  std::vector<ClusterReport> elastic{};  // one a split to begin with
};

Result<Sweep> sweep(const ExperimentInput& input, double rate) {
  MC_ASSIGN_OR_RETURN(WorkloadShape shape, workload_shape("synthetic"));
  shape.requests_per_s = rate;
  const Trace trace = generate_trace(shape, kRequests, input.seed);
  Sweep result{.rate = rate};
  for (const Published& split : kPublished) {
    input.progress(fmt::format("{} at {} requests/s", split_name(split.prefill, kNodes - split.prefill), rate));
    ClusterConfig config = paper_cluster(split.prefill, kNodes - split.prefill);
    MC_ASSIGN_OR_RETURN(const ClusterReport fixed, run_and_report(trace, config));
    result.fixed.push_back(fixed);
    config.elastic = true;
    MC_ASSIGN_OR_RETURN(const ClusterReport elastic, run_and_report(trace, config));
    result.elastic.push_back(elastic);
  }
  return result;
}

Table sensitivity(const std::vector<Sweep>& sweeps, const std::string& title, double (*value)(const ClusterReport&),
                  double Published::*published) {
  Table table{.title = title, .columns = {"split", "published"}, .rows = {}};
  for (const Sweep& one : sweeps) table.columns.push_back(fmt::format("{} requests/s", one.rate));
  for (std::size_t i = 0; i < kPublished.size(); ++i) {
    std::vector<Cell> row = {split_name(kPublished[i].prefill, kNodes - kPublished[i].prefill),
                             kPublished[i].*published};
    for (const Sweep& one : sweeps) row.emplace_back(value(one.fixed[i]));
    table.rows.push_back(std::move(row));
  }
  return table;
}

/// Effective requests where nodes may change their roles, and how many prefill at the end.
Table elastic_roles(const std::vector<Sweep>& sweeps) {
  Table table{.title = "Effective requests with elastic roles, and prefill nodes at the end", .columns = {"begins as"}};
  for (const Sweep& one : sweeps) {
    table.columns.push_back(fmt::format("{} requests/s", one.rate));
    table.columns.push_back(fmt::format("nodes at {}", one.rate));
  }
  for (std::size_t i = 0; i < kPublished.size(); ++i) {
    std::vector<Cell> row = {split_name(kPublished[i].prefill, kNodes - kPublished[i].prefill)};
    for (const Sweep& one : sweeps) {
      row.emplace_back(one.elastic[i].effective_fraction);
      row.emplace_back(static_cast<double>(one.elastic[i].prefill_at_end));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

Chart chart_of(const std::vector<Sweep>& sweeps, const std::string& title, const std::string& y_name,
               double (*value)(const ClusterReport&), double Published::*published) {
  Chart chart{.title = title, .x_name = "prefill nodes of 16", .y_name = y_name, .x = {}, .series = {}};
  Series paper{.name = "Figure 15", .y = {}, .published = true};
  for (const Published& split : kPublished) {
    chart.x.push_back(split.prefill);
    paper.y.emplace_back(split.*published);
  }
  chart.series.push_back(std::move(paper));
  for (const Sweep& one : sweeps) {
    Series series{.name = fmt::format("{} requests/s", one.rate), .y = {}};
    for (const ClusterReport& report : one.fixed) series.y.emplace_back(value(report));
    chart.series.push_back(std::move(series));
  }
  return chart;
}

double effective(const ClusterReport& report) { return report.effective_fraction; }
double ttft(const ClusterReport& report) { return report.ttft_s ? report.ttft_s->mean : 0; }
double tbt(const ClusterReport& report) { return report.tbt_ms ? report.tbt_ms->mean : 0; }

}  // namespace

Result<Report> run_pd_ratio(const ExperimentInput& input) {
  std::vector<Sweep> sweeps;
  for (const double rate : kRates) {
    MC_ASSIGN_OR_RETURN(Sweep one, sweep(input, rate));
    sweeps.push_back(std::move(one));
  }
  Report report{.name = "pd-ratio", .title = "16 nodes between prefill and decode"};
  for (const Table& table : {sensitivity(sweeps, "Effective requests: TTFT within 30 s and TBT within 100 ms",
                                         effective, &Published::effective),
                             sensitivity(sweeps, "Mean TTFT, seconds", ttft, &Published::ttft_s),
                             sensitivity(sweeps, "Mean TBT, milliseconds", tbt, &Published::tbt_ms)}) {
    report.tables.push_back(table);
    report.tables.push_back(deviations(table));
  }
  report.tables.push_back(elastic_roles(sweeps));
  report.charts = {chart_of(sweeps, "Effective requests", "share", effective, &Published::effective),
                   chart_of(sweeps, "Mean TTFT", "seconds", ttft, &Published::ttft_s),
                   chart_of(sweeps, "Mean TBT", "milliseconds", tbt, &Published::tbt_ms)};
  report.notes = {
      "The workload is generated (`mooncake trace generate --preset synthetic`), calibrated to the published means of "
      "input, output, reuse and the number of requests; the given trace is not used. Its rate is not published, so "
      "each rate is a column, and none is fitted.",
      "Few prefill nodes make TTFT long and few decode nodes make TBT long, as published; TTFT breaks down at 5P at "
      "the rate that the published figure suggests. TBT rises less than published: 58 ms on 5 decode nodes would need "
      "three times the requests that 11 prefill nodes can feed them, by the profile's steps of 0.39 ms a sequence, a "
      "slope that is derived from another machine's tables and not published for this one.",
      "With elastic roles nodes change only where requests miss an objective: a lopsided cluster that serves all of "
      "them in time stays as it is, and one that begins with too few prefill nodes gets more."};
  return report;
}

}  // namespace mooncake::sim
