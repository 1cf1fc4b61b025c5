#include "cli/trace_replay.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "base/rng.h"
#include "cli/bench_prompts.h"

namespace mooncake::cli {
namespace {

std::uint32_t scaled(std::uint32_t tokens, double scale) {
  return static_cast<std::uint32_t>(std::clamp(std::round(tokens * scale), 1.0, 2e9));
}

std::size_t bytes_of(double tokens, const ReplayOptions& options) {
  return static_cast<std::size_t>(std::max(1.0, std::round(tokens * options.bytes_per_token)));
}

// Random words that begin with the same ones whatever their number.
std::string words(std::uint64_t kind, std::uint64_t id, std::size_t bytes, const ReplayOptions& options) {
  Rng rng(splitmix64(splitmix64(options.seed + kind) ^ id));
  return random_text(bytes, rng);
}
constexpr std::uint64_t kBlockWords = 1;
constexpr std::uint64_t kOwnWords = 2;

bool fits(std::uint32_t prompt_tokens, std::uint32_t answer_tokens, std::uint32_t context_tokens) {
  return prompt_tokens * (1 + kReplayLengthMargin) + kReplayTokensAdded + answer_tokens <= context_tokens;
}

}  // namespace

ReplayPlan plan_replay(const sim::Trace& trace, const ReplayOptions& options) {
  CHECK(!trace.requests.empty() && options.speed > 0 && options.tokens_scale > 0);
  std::vector<std::size_t> order(trace.requests.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t index) { return trace.requests[index].arrival; });
  const Nanos first = trace.requests[order.front()].arrival;
  ReplayPlan plan;
  for (const std::size_t index : order) {
    const sim::TraceRequest& request = trace.requests[index];
    const double at_s = to_ms(request.arrival - first) / 1e3 / options.speed;
    if (options.duration_s > 0 && at_s >= options.duration_s) break;
    const std::uint32_t answer_tokens = scaled(request.output_tokens, options.tokens_scale);
    if (!fits(scaled(request.input_tokens, options.tokens_scale), answer_tokens, options.context_tokens)) {
      ++plan.skipped;
      continue;
    }
    plan.arrivals.push_back({.at_s = at_s, .answer_tokens = answer_tokens});
    plan.requests.push_back(index);
  }
  return plan;
}

std::string replay_prompt(const sim::Trace& trace, std::size_t index, const ReplayOptions& options) {
  const sim::TraceRequest& request = trace.requests[index];
  const std::size_t bytes = bytes_of(scaled(request.input_tokens, options.tokens_scale), options);
  const std::size_t block_bytes = bytes_of(sim::kTraceBlockTokens * options.tokens_scale, options);
  std::string prompt;
  prompt.reserve(bytes);
  for (const sim::TraceBlock block : trace.blocks_of(request)) {
    if (prompt.size() == bytes) break;
    prompt += words(kBlockWords, block, std::min(block_bytes, bytes - prompt.size()), options);
  }
  if (prompt.size() < bytes) prompt += words(kOwnWords, index, bytes - prompt.size(), options);
  return prompt;
}

sim::Trace trace_of(std::span<const Arrival> arrivals, std::span<const Outcome> outcomes, std::uint32_t prompt_tokens) {
  CHECK(arrivals.size() == outcomes.size());
  sim::Trace trace;
  for (std::size_t i = 0; i < arrivals.size(); ++i) {
    const bool known = outcomes[i].completed();
    sim::TraceRequest request{.arrival = from_ms(arrivals[i].at_s * 1e3),
                              .input_tokens = known ? outcomes[i].prompt_tokens : prompt_tokens,
                              .output_tokens = known ? outcomes[i].answer_tokens : arrivals[i].answer_tokens,
                              .first_block = trace.blocks.size()};
    request.block_count = (request.input_tokens + sim::kTraceBlockTokens - 1) / sim::kTraceBlockTokens;
    for (std::uint32_t block = 0; block < request.block_count; ++block) trace.blocks.push_back(trace.distinct_blocks++);
    trace.requests.push_back(request);
  }
  return trace;
}

}  // namespace mooncake::cli
