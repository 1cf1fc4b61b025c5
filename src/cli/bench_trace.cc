// Scenario trace of `mooncake bench serve`: the arrivals, lengths and shared prefixes of a trace, against a cluster.
#include <fmt/core.h>

#include "base/rng.h"
#include "cli/bench_client.h"
#include "cli/bench_open_loop.h"
#include "cli/bench_prompts.h"
#include "cli/bench_serve.h"
#include "cli/trace_replay.h"
#include "sim/trace/trace_reader.h"

namespace mooncake::cli {
namespace {

// Words that are counted to know how many bytes a token has: enough for an average within a percent or two.
constexpr std::uint32_t kCountedTokens = 256;

Result<ReplayOptions> replay_options(const BenchServeOptions& options) {
  ReplayOptions replay{.speed = options.speed,
                       .tokens_scale = options.tokens_scale,
                       .duration_s = options.duration_s,
                       .seed = options.seed};
  MC_ASSIGN_OR_RETURN(replay.context_tokens, context_tokens(options.gateway));
  Rng rng(options.seed);
  const auto count = [&](std::string_view text) { return count_tokens(options.gateway, text); };
  MC_ASSIGN_OR_RETURN(const std::string typical, sized_text(kCountedTokens, count, rng));
  replay.bytes_per_token = static_cast<double>(typical.size()) / kCountedTokens;
  return replay;
}

}  // namespace

Result<std::vector<BenchRow>> bench_trace(const BenchServeOptions& options, const std::string& model) {
  MC_ASSIGN_OR_RETURN(const sim::Trace trace, sim::read_trace_file(options.trace));
  MC_ASSIGN_OR_RETURN(const ReplayOptions replay, replay_options(options));
  const ReplayPlan plan = plan_replay(trace, replay);
  const std::string skipped = fmt::format("longer than the model's context of {}", replay.context_tokens);
  if (plan.arrivals.empty()) {
    return Status(Code::kInvalidArgument, fmt::format("all requests are {}; --tokens-scale shortens them", skipped));
  }
  if (plan.arrivals.size() > kArrivalsMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("more than {} requests; --duration leaves out the later ones", kArrivalsMax));
  }
  MC_ASSIGN_OR_RETURN(
      const OpenLoopResult result,
      run_open_loop(
          {.gateway = options.gateway, .model = model, .arrivals = plan.arrivals, .prompt = [&](std::size_t i) {
             return replay_prompt(trace, plan.requests[i], replay);
           }}));
  auto rows = open_loop_rows(result, {.ttft = ttft_objective(options), .tbt = tbt_objective(options)});
  rows.push_back({.name = "skipped", .value = static_cast<double>(plan.skipped), .unit = "requests"});
  if (plan.skipped > 0) rows.back().reason = skipped;
  return rows;
}

}  // namespace mooncake::cli
