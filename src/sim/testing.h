// For tests of this layer: small traces.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/rng.h"
#include "sim/trace/trace.h"

namespace mooncake::sim::testing {

/// A trace of these prompts, in full blocks, which all come at once and want one token.
inline Trace trace_of(const std::vector<std::vector<TraceBlock>>& prompts) {
  Trace trace;
  for (const auto& prompt : prompts) {
    trace.requests.push_back({.input_tokens = static_cast<std::uint32_t>(prompt.size()) * kTraceBlockTokens,
                              .output_tokens = 1,
                              .first_block = trace.blocks.size(),
                              .block_count = static_cast<std::uint32_t>(prompt.size())});
    for (const TraceBlock block : prompt) {
      trace.blocks.push_back(block);
      trace.distinct_blocks = std::max(trace.distinct_blocks, block + 1);
    }
  }
  return trace;
}

/// Conversations that grow by a block or two a turn, as real ones do, and end.
inline Trace conversations(std::uint64_t seed, std::uint32_t requests) {
  Rng rng(seed);
  std::vector<std::vector<TraceBlock>> open(12, {0});
  std::vector<std::vector<TraceBlock>> prompts;
  TraceBlock next = 1;
  while (prompts.size() < requests) {
    auto& prompt = open[rng.below(open.size())];
    if (prompt.size() > 10) prompt = {0};
    for (std::uint64_t more = 1 + rng.below(2); more > 0; --more) prompt.push_back(next++);
    prompts.push_back(prompt);
  }
  return trace_of(prompts);
}

/// Gives the requests of `trace` Poisson arrivals, `mean_gap` apart.
inline void arrive_at_random(Trace& trace, Nanos mean_gap, Rng& rng) {
  double at_ms = 0;
  for (TraceRequest& request : trace.requests) {
    at_ms -= std::log(1 - rng.uniform()) * to_ms(mean_gap);
    request.arrival = from_ms(at_ms);
  }
}

}  // namespace mooncake::sim::testing
