// What one request takes under the profile of the paper's cluster, beside Figures 8 and 14.
#include <fmt/core.h>

#include <array>

#include "sim/experiment/experiment.h"
#include "sim/experiment/paper_cluster.h"

namespace mooncake::sim {
namespace {

/// A row of Figure 14: prompts of so many thousand tokens, seconds.
struct Published {
  std::uint32_t thousand_tokens;
  double prefill, transfer, load, decode, prefill_95;
};
// Prefill and decode are printed as text in the figure; transfer and load are read off its bars.
constexpr std::array kFigure14 = {
    Published{8, 1.00, .034, .029, 3.39, .135}, Published{16, 2.05, .063, .053, 3.43, .227},
    Published{32, 4.48, .126, .106, 3.52, .406}, Published{64, 10.58, .251, .213, 3.66, .882},
    Published{128, 27.51, .498, .420, 3.94, 2.329}};
constexpr std::uint32_t kAnswerTokens = 128;
constexpr double kCachedShare = 0.95;
constexpr double kPublishedPrefill = 1.661;  // Figure 8: without a cache, mean over the conversation trace

double seconds(Nanos time) { return to_ms(time) / 1e3; }

/// One figure of each prompt: ours, published, and how far apart.
Table compare(std::string title, double Published::*published, const std::function<double(std::uint32_t)>& ours) {
  Table table{.title = std::move(title), .columns = {"prompt", "ours_s", "published_s", "deviation"}, .rows = {}};
  for (const Published& row : kFigure14) {
    const double value = ours(row.thousand_tokens * 1024);
    table.rows.push_back(
        {fmt::format("{}k", row.thousand_tokens), value, row.*published, value / (row.*published) - 1});
  }
  return table;
}

std::vector<Table> figure_14(const kvcache::CostProfile& profile) {
  const std::shared_ptr<const kvcache::CostModel> model = kvcache::make_cost_model(profile);
  const auto cached = [](std::uint32_t tokens) { return static_cast<std::uint32_t>(tokens * kCachedShare); };
  const auto decode = [model](std::uint32_t tokens) {
    Nanos sum{};
    for (std::uint32_t made = 0; made < kAnswerTokens; ++made) sum += model->tbt(0, 1, tokens + made);
    return seconds(sum);
  };
  return {compare("Prefill, nothing cached", &Published::prefill,
                  [model](std::uint32_t tokens) { return seconds(model->prefill(0, tokens, 0)); }),
          compare("Prefill, 95 % cached, loading included", &Published::prefill_95,
                  [model, cached](std::uint32_t tokens) { return seconds(model->prefill(0, tokens, cached(tokens))); }),
          compare("Decode of 128 tokens", &Published::decode, decode),
          compare("Loading the prompt's KVCache", &Published::load,
                  [profile](std::uint32_t tokens) {
                    return (profile.load_fixed_ms + profile.load_ms_per_token * tokens) / 1e3;
                  }),
          compare("Transfer of the prompt's KVCache", &Published::transfer,
                  [model](std::uint32_t tokens) { return seconds(model->transfer(tokens, false)); })};
}

Chart prefill_chart(const Table& whole, const Table& cached) {
  Chart chart{.title = "Prefill by length of the prompt",
              .x_name = "thousand tokens",
              .y_name = "seconds",
              .x = {},
              .series = {{.name = "nothing cached", .y = {}},
                         {.name = "nothing cached, published", .y = {}, .published = true},
                         {.name = "95 % cached", .y = {}},
                         {.name = "95 % cached, published", .y = {}, .published = true}},
              .log_x = true};
  for (std::size_t i = 0; i < kFigure14.size(); ++i) {
    chart.x.push_back(kFigure14[i].thousand_tokens);
    std::size_t line = 0;
    for (const Table* table : {&whole, &cached}) {
      for (const std::size_t column : {1u, 2u}) {
        chart.series[line++].y.emplace_back(std::get<double>(table->rows[i][column]));
      }
    }
  }
  return chart;
}

Table mean_prefill(const ExperimentInput& input, const kvcache::CostProfile& profile) {
  const auto model = kvcache::make_cost_model(profile);
  double sum = 0;
  for (const TraceRequest& request : input.trace.requests) sum += seconds(model->prefill(0, request.input_tokens, 0));
  const double mean = sum / static_cast<double>(input.trace.requests.size());
  return {.title = "Mean prefill over the trace, nothing cached, beside Figure 8's on the conversation trace",
          .columns = {"trace", "ours_s", "published_s", "deviation"},
          .rows = {{input.trace_name, mean, kPublishedPrefill, mean / kPublishedPrefill - 1}}};
}

}  // namespace

Result<Report> run_request_cost(const ExperimentInput& input) {
  Report report{.name = "request-cost", .title = "What one request takes"};
  const kvcache::CostProfile profile = paper_cluster(1, 1).profile;
  report.tables = figure_14(profile);
  report.charts.push_back(prefill_chart(report.tables[0], report.tables[1]));
  report.tables.push_back(mean_prefill(input, profile));
  report.notes = {
      "The profile's constants were fitted to Figure 14 (kvcache/cost_model.cc says which to which), so its prefill "
      "and decode say how well three laws describe five prompts, and nothing about the world.",
      "Loading is what makes the prefill of a prompt with 95 % cached right, and not the figure's bar for loading, "
      "which is a third less for short prompts and a third more for long ones: the published engine seems to load "
      "layer by layer while it computes, so that of a long load only a part is waited for.",
      "Transfer is 4 ms and 87 GB/s of the 100 GB/s that four links have; the figure's bars are read off a plot, to "
      "about 5 ms."};
  return report;
}

}  // namespace mooncake::sim
