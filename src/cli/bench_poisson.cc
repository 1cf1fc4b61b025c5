// Scenario poisson of `mooncake bench serve`: random arrivals of prompts that have nothing in common.
#include <fmt/core.h>

#include <sstream>

#include "base/rng.h"
#include "cli/bench_client.h"
#include "cli/bench_open_loop.h"
#include "cli/bench_prompts.h"
#include "cli/bench_serve.h"
#include "cli/bench_stats.h"
#include "cli/json_output.h"
#include "cli/trace_replay.h"
#include "sim/trace/trace_writer.h"

namespace mooncake::cli {
namespace {

std::vector<Arrival> arrivals_of(const BenchServeOptions& options) {
  std::vector<Arrival> arrivals;
  for (const double at_s : poisson_arrivals(options.rate, options.duration_s, options.seed + 2)) {
    arrivals.push_back({.at_s = at_s, .answer_tokens = options.answer_tokens});
  }
  return arrivals;
}

}  // namespace

Result<std::vector<BenchRow>> bench_poisson(const BenchServeOptions& options, const std::string& model) {
  if (options.rate * options.duration_s > static_cast<double>(kArrivalsMax)) {
    return Status(Code::kInvalidArgument, fmt::format("rate x duration is more than {} requests", kArrivalsMax));
  }
  // One text is counted; the others are as long in bytes, so about as long in tokens.
  Rng rng(options.seed + 1);
  const auto count = [&](std::string_view text) { return count_tokens(options.gateway, text); };
  MC_ASSIGN_OR_RETURN(const std::string typical, sized_text(options.prompt_tokens, count, rng));
  Rng prompts(options.seed);
  const OpenLoop loop{
      .gateway = options.gateway, .model = model, .arrivals = arrivals_of(options), .prompt = [&](std::size_t) {
        return random_text(typical.size(), prompts);
      }};
  MC_ASSIGN_OR_RETURN(const OpenLoopResult result, run_open_loop(loop));
  const sim::Trace trace = trace_of(loop.arrivals, result.outcomes, options.prompt_tokens);
  std::ostringstream text;
  sim::write_trace(trace, text);
  MC_RETURN_IF_ERROR(write_json(options.save_trace, text.str()));
  return open_loop_rows(result, {.ttft = ttft_objective(options), .tbt = tbt_objective(options)});
}

}  // namespace mooncake::cli
