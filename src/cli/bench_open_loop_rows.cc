// What an open loop reports of its requests.
#include <fmt/core.h>

#include "cli/bench_open_loop.h"
#include "cli/bench_stats.h"

namespace mooncake::cli {
namespace {

struct Summary {
  std::vector<double> ttft_ms;
  std::vector<double> tbt_ms;
  double completed = 0;
  double met = 0;
  double refused = 0;
  double failed = 0;
  double not_sent = 0;
  double prompt_tokens = 0;
  double cached_tokens = 0;
  double answer_tokens = 0;
  std::string first_error;
};

Summary summarize(const std::vector<Outcome>& outcomes, const kvcache::Slo& slo) {
  Summary summary;
  for (const Outcome& outcome : outcomes) {
    summary.not_sent += !outcome.sent;
    summary.refused += outcome.refused;
    summary.failed += outcome.failed;
    if (outcome.failed && summary.first_error.empty()) summary.first_error = outcome.error;
    if (!outcome.completed()) continue;
    summary.completed += 1;
    summary.met += kvcache::meets(slo, outcome.ttft, outcome.tbt);
    summary.prompt_tokens += outcome.prompt_tokens;
    summary.cached_tokens += outcome.cached_tokens;
    summary.answer_tokens += outcome.answer_tokens;
    summary.ttft_ms.push_back(to_ms(outcome.ttft));
    summary.tbt_ms.push_back(to_ms(outcome.tbt));
  }
  return summary;
}

}  // namespace

std::vector<BenchRow> open_loop_rows(const OpenLoopResult& result, const kvcache::Slo& slo) {
  const Summary summary = summarize(result.outcomes, slo);
  std::vector<BenchRow> rows;
  const auto add = [&](std::string name, double value, std::string unit, Better better) {
    rows.push_back({.name = std::move(name), .value = value, .unit = std::move(unit), .better = better});
  };
  add("ttft_ms_mean", mean(summary.ttft_ms), "ms", Better::kLower);
  for (const double percent : {50.0, 90.0, 99.0}) {
    add(fmt::format("ttft_ms_p{:.0f}", percent), percentile(summary.ttft_ms, percent), "ms", Better::kLower);
  }
  for (const double percent : {50.0, 90.0, 99.0}) {
    add(fmt::format("tbt_ms_p{:.0f}", percent), percentile(summary.tbt_ms, percent), "ms", Better::kLower);
  }
  const auto requests = static_cast<double>(result.outcomes.size());
  add("goodput_rps", summary.met / result.wall_s, "requests/s", Better::kHigher);
  add("goodput_share", requests > 0 ? summary.met / requests : 0, "of requests", Better::kHigher);
  add("prompt_tokens", summary.prompt_tokens, "tokens", Better::kHigher);
  add("cached_tokens", summary.cached_tokens, "tokens", Better::kHigher);
  add("answer_tokens_per_s", summary.answer_tokens / result.wall_s, "tokens/s", Better::kHigher);
  add("requests", requests, "requests", Better::kHigher);
  add("completed", summary.completed, "requests", Better::kHigher);
  add("refused", summary.refused, "requests", Better::kLower);
  add("failed", summary.failed, "requests", Better::kLower);
  rows.back().reason = summary.first_error;
  add("not_sent", summary.not_sent, "requests", Better::kLower);
  if (summary.not_sent > 0) rows.back().reason = fmt::format("more than {} in flight", kInFlightMax);
  return rows;
}

}  // namespace mooncake::cli
