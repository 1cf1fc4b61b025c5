#include "sim/cluster/run_charts.h"

#include <fmt/core.h>

#include <algorithm>

#include "sim/report/summary.h"

namespace mooncake::sim {
namespace {

double seconds(Nanos time) { return to_ms(time) / 1e3; }

/// Cumulative, at every hundredth of the requests.
Chart distribution(std::string name, std::string_view unit, std::vector<double> samples, double objective) {
  std::ranges::sort(samples);
  Chart chart{.title = fmt::format("{} of completed requests; the objective is {:.6g} {}", name, objective, unit),
              .x_name = fmt::format("{}, {}", name, unit),
              .y_name = "share of requests",
              .series = {{.name = "share that took no longer"}},
              .log_x = samples.front() > 0,
              .marks = {{.name = "objective", .x = objective}}};
  for (int percent = 0; percent <= 100; ++percent) {
    chart.x.push_back(percent == 0 ? samples.front() : nearest_rank(samples, percent));
    chart.series[0].y.emplace_back(percent / 100.0);
  }
  return chart;
}

void add_distributions(const kvcache::Slo& slo, const ClusterResult& result, std::vector<Chart>& charts) {
  std::vector<double> ttft_s, tbt_ms;
  for (const RequestOutcome& outcome : result.requests) {
    if (outcome.outcome != Outcome::kCompleted) continue;
    ttft_s.push_back(seconds(outcome.first_token - outcome.arrival));
    if (outcome.tbt) tbt_ms.push_back(to_ms(*outcome.tbt));
  }
  if (!ttft_s.empty()) charts.push_back(distribution("TTFT", "s", std::move(ttft_s), seconds(slo.ttft)));
  if (!tbt_ms.empty()) charts.push_back(distribution("TBT", "ms", std::move(tbt_ms), to_ms(slo.tbt)));
}

std::optional<double> a_second(std::uint64_t requests, double window_s) {
  return static_cast<double>(requests) / window_s;
}

using WindowFigure = std::optional<double> (*)(const TimelineWindow& window, double window_s);

/// Each window at its middle.
Chart over_time(const ClusterTimeline& timeline, std::string title, std::string y_name,
                std::initializer_list<std::pair<const char*, WindowFigure>> lines) {
  Chart chart{.title = std::move(title), .x_name = "seconds since the trace began", .y_name = std::move(y_name)};
  for (const TimelineWindow& window : timeline.windows) {
    chart.x.push_back(seconds(window.begin.time_since_epoch() + timeline.window / 2));
  }
  for (const auto& [name, figure] : lines) {
    Series& series = chart.series.emplace_back(Series{.name = name});
    for (const TimelineWindow& window : timeline.windows) series.y.push_back(figure(window, seconds(timeline.window)));
  }
  return chart;
}

void add_timeline(const ClusterTimeline& timeline, std::vector<Chart>& charts) {
  using Window = TimelineWindow;
  charts.push_back(
      over_time(timeline, "Prompts", "prompts",
                {{"wait for prefill", [](const Window& window, double) { return std::optional(window.waiting); }},
                 {"are computed", [](const Window& window, double) { return std::optional(window.computing); }}}));
  if (std::ranges::any_of(timeline.windows, [](const Window& window) { return window.decoding > 0; })) {
    charts.push_back(
        over_time(timeline, "Requests in decode", "requests",
                  {{"in decode", [](const Window& window, double) { return std::optional(window.decoding); }}}));
  }
  charts.push_back(
      over_time(timeline, "Requests by when they arrived", "requests/s",
                {{"arrived", [](const Window& window, double s) { return a_second(window.arrived, s); }},
                 {"in time", [](const Window& window, double s) { return a_second(window.in_time, s); }},
                 {"refused", [](const Window& window, double s) { return a_second(window.refused, s); }}}));
  if (std::ranges::any_of(timeline.windows, [](const Window& window) { return window.prompt_blocks > 0; })) {
    charts.push_back(over_time(timeline, "Blocks of prompts that were reused", "hit rate",
                               {{"hit rate", [](const Window& window, double) { return window.hit_rate(); }}}));
  }
}

}  // namespace

std::vector<Chart> run_charts(const kvcache::Slo& slo, const ClusterResult& result, const ClusterTimeline& timeline) {
  std::vector<Chart> charts;
  add_distributions(slo, result, charts);
  add_timeline(timeline, charts);
  return charts;
}

}  // namespace mooncake::sim
