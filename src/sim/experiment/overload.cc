// One to four times the load under every admission policy: goodput, wasted prefill, oscillation (arXiv 2407.00079,
// section 7).
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "sim/experiment/experiment.h"
#include "sim/experiment/fairness.h"
#include "sim/experiment/paper_cluster.h"
#include "sim/trace/generator.h"

namespace mooncake::sim {
namespace {

using conductor::AdmissionPolicy;

constexpr std::array kAdmissions = {AdmissionPolicy::kNone, AdmissionPolicy::kBaseline, AdmissionPolicy::kEarly,
                                    AdmissionPolicy::kPredictive, AdmissionPolicy::kSurvival};
constexpr std::array kSpeeds = {1.0, 2.0, 3.0, 4.0};
constexpr Nanos kOscillationStep = Seconds(10);

/// A workload and a cluster whose decode instances are the first to have too much to do.
struct Case {
  std::string name;
  const Trace& trace;
  std::uint32_t prefill;
  std::uint32_t decode;
};

/// How unevenly the decode instances are used: the deviation of the number of requests that decode, sampled every 10 s
/// of the arrivals, over its mean. A pool that is kept full has little.
double oscillation(const ClusterResult& result) {
  Instant last{};
  for (const RequestOutcome& outcome : result.requests) last = std::max(last, outcome.arrival);
  const auto steps = static_cast<std::size_t>(last.time_since_epoch() / kOscillationStep) + 1;
  std::vector<double> decoding(steps + 1);  // changes, then sums
  const auto step_of = [&](Instant at) {
    return std::min(static_cast<std::size_t>((at.time_since_epoch() + kOscillationStep - Nanos{1}) / kOscillationStep),
                    steps);
  };
  for (const RequestOutcome& outcome : result.requests) {
    if (outcome.outcome != Outcome::kCompleted) continue;
    decoding[step_of(outcome.first_token)] += 1;
    decoding[step_of(outcome.end)] -= 1;
  }
  double sum = 0, squares = 0, now = 0;
  const std::size_t begin = steps / 10;  // the pool fills first
  for (std::size_t i = 0; i < steps; ++i) {
    now += decoding[i];
    if (i < begin) continue;
    sum += now;
    squares += now * now;
  }
  const auto count = static_cast<double>(steps - begin);
  const double mean = sum / count;
  return mean > 0 ? std::sqrt(std::max(0.0, squares / count - mean * mean)) / mean : 0;
}

/// Jain's index over ten classes of prompt length: 1 if each has the same share of its requests served in time.
double fairness(const Trace& trace, const kvcache::Slo& slo, const ClusterResult& result) {
  std::vector<std::uint32_t> order(trace.requests.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, {}, [&](std::uint32_t i) { return trace.requests[i].input_tokens; });
  constexpr std::size_t kClasses = 10;
  std::array<double, kClasses> served{};
  for (std::size_t i = 0; i < order.size(); ++i) {
    const RequestOutcome& outcome = result.requests[order[i]];
    served[i * kClasses / order.size()] += in_time(slo, outcome) ? 1 : 0;
  }
  double sum = 0, squares = 0;
  for (const double share : served) {
    sum += share;
    squares += share * share;
  }
  return squares > 0 ? sum * sum / (kClasses * squares) : 0;
}

Result<std::pair<Table, Chart>> run_case(const ExperimentInput& input, const Case& one) {
  const std::string title = fmt::format("{}, {}", one.name, split_name(one.prefill, one.decode));
  Table table{.title = title,
              .columns = {"admission", "speed", "goodput_rps", "effective", "rejected", "after prefill",
                          "wasted_prefill_s", "ttft_s_p90", "tbt_ms_p90", "oscillation", "fairness"},
              .rows = {}};
  Chart chart{.title = "Goodput: " + title,
              .x_name = "speed",
              .y_name = "requests/s within both objectives",
              .x = {kSpeeds.begin(), kSpeeds.end()},
              .series = {}};
  for (const AdmissionPolicy admission : kAdmissions) {
    chart.series.push_back({.name = std::string(conductor::admission_name(admission)), .y = {}});
  }
  for (const double speed : kSpeeds) {
    for (std::size_t i = 0; i < kAdmissions.size(); ++i) {
      const std::string name(conductor::admission_name(kAdmissions[i]));
      input.progress(fmt::format("{}: {} at {}x", one.name, name, speed));
      ClusterConfig config = paper_cluster(one.prefill, one.decode);
      config.admission = kAdmissions[i];
      config.speed = speed;
      MC_ASSIGN_OR_RETURN(const ClusterResult result, run_cluster(one.trace, config));
      const ClusterReport report = report_cluster(one.trace, config.slo, result);
      chart.series[i].y.emplace_back(report.goodput_rps);
      table.rows.push_back({name, speed, report.goodput_rps, report.effective_fraction,
                            static_cast<double>(report.rejected), static_cast<double>(report.rejected_after_prefill),
                            report.wasted_prefill_s, report.ttft_s ? Cell(report.ttft_s->p90) : Cell(),
                            report.tbt_ms ? Cell(report.tbt_ms->p90) : Cell(), oscillation(result),
                            fairness(one.trace, config.slo, result)});
    }
  }
  return std::pair(std::move(table), std::move(chart));
}

/// Where `survival` is ahead of `predictive` on goodput, and where it is not.
Table comparison(const std::vector<Chart>& charts) {
  Table table{.title = "Goodput of survival over predictive", .columns = {"workload"}, .rows = {}};
  for (const double speed : kSpeeds) table.columns.push_back(fmt::format("{}x", speed));
  for (const Chart& chart : charts) {
    std::vector<Cell> row = {chart.title.substr(std::string("Goodput: ").size())};
    for (std::size_t i = 0; i < kSpeeds.size(); ++i) row.emplace_back(*chart.series[4].y[i] / *chart.series[3].y[i]);
    table.rows.push_back(std::move(row));
  }
  return table;
}

/// The published t_d is unknown, so here is what it matters.
Result<Table> decode_time_table(const ExperimentInput& input) {
  constexpr std::array kDecodeTimes = {5, 10, 20, 40, 80};
  Table table{.title = fmt::format("Goodput of predictive by t_d, {}, 13P3D", input.trace_name), .columns = {"t_d_s"}};
  for (const double speed : kSpeeds) table.columns.push_back(fmt::format("{}x", speed));
  for (const int seconds : kDecodeTimes) {
    std::vector<Cell> row = {static_cast<double>(seconds)};
    for (const double speed : kSpeeds) {
      input.progress(fmt::format("predictive with t_d of {} s at {}x", seconds, speed));
      ClusterConfig config = paper_cluster(13, 3);
      config.admission = AdmissionPolicy::kPredictive;
      config.decode_time = Seconds(seconds);
      config.speed = speed;
      MC_ASSIGN_OR_RETURN(const ClusterReport report, run_and_report(input.trace, config));
      row.emplace_back(report.goodput_rps);
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace

Result<Report> run_overload(const ExperimentInput& input) {
  MC_ASSIGN_OR_RETURN(const WorkloadShape chat, workload_shape("conversation"));
  MC_ASSIGN_OR_RETURN(const WorkloadShape tools, workload_shape("toolagent"));
  const Trace conversation = generate_trace(chat, 12'031, input.seed);
  const Trace toolagent = generate_trace(tools, 23'608, input.seed);
  Report report{.name = "overload", .title = "Overload: whom to refuse"};
  for (const Case& one :
       {Case{input.trace_name, input.trace, 13, 3}, Case{input.trace_name, input.trace, 14, 2},
        Case{"generated conversation", conversation, 13, 3}, Case{"generated toolagent", toolagent, 14, 2}}) {
    MC_ASSIGN_OR_RETURN(auto done, run_case(input, one));
    report.tables.push_back(std::move(done.first));
    report.charts.push_back(std::move(done.second));
  }
  MC_ASSIGN_OR_RETURN(Table decode_times, decode_time_table(input));
  report.tables.insert(report.tables.begin(), std::move(decode_times));
  report.tables.insert(report.tables.begin(), comparison(report.charts));
  MC_ASSIGN_OR_RETURN(Table shares, fairness_table(input));
  report.tables.push_back(std::move(shares));
  report.notes = {
      "TTFT within 30 s, TBT within 100 ms; t_d of `predictive` is 10 s; the second table varies it. Oscillation is "
      "the deviation of the number of "
      "requests that decode over its mean, every 10 s, the first tenth left out. Fairness is Jain's index over ten "
      "classes of "
      "prompt length.",
      "`predictive` is only as good as its guess: with a t_d below what answers take it lets far too many in, and with "
      "one "
      "far above, under which nobody ever leaves, it is ahead of `survival`, by refusing long prompts rather than "
      "short ones. "
      "`survival` needs no guess.",
      "The published thresholds and t_d are unknown (4,183, 3,771 and 3,589 requests refused at 2x by baseline, early "
      "and "
      "predictive), so the counts are not comparable; goodput, waste and oscillation are.",
      "The last table is of prefill instances that have twice too much to do, with `survival`. Tenant large asks four "
      "times as much as small; all alike, they wait in one line. Of the priorities a quarter is low and a quarter "
      "high."};
  return report;
}

}  // namespace mooncake::sim
