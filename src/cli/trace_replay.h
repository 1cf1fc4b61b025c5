// A trace as requests for a live cluster, and a live run as a trace. Pure.
//
// A trace knows no text, only which blocks of 512 tokens are equal. A block's id becomes random words, the same for the
// same id, so prompts that begin with the same blocks begin with the same text, and share the cluster's cache as the
// trace's did. Lengths in tokens are about right: words are counted out in bytes, at so many a token.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cli/bench_open_loop.h"
#include "sim/trace/trace.h"

namespace mooncake::cli {

struct ReplayOptions {
  double speed = 1;         ///< 2: twice as fast
  double tokens_scale = 1;  ///< of prompts, answers and blocks
  double duration_s = 0;    ///< of the replay; what would arrive later is left out; 0: the whole trace
  double bytes_per_token = 1;
  std::uint32_t context_tokens = 0;  ///< of the model; what does not fit is skipped
  std::uint64_t seed = 0;            ///< of the words
};

/// Share of a prompt by which words counted in bytes may exceed the tokens meant, and tokens that a model adds.
inline constexpr double kReplayLengthMargin = 0.03;
inline constexpr std::uint32_t kReplayTokensAdded = 8;

struct ReplayPlan {
  std::vector<Arrival> arrivals;      ///< ascending, the first at 0
  std::vector<std::size_t> requests;  ///< index in the trace, of each arrival
  std::size_t skipped = 0;            ///< too long for the context
};

/// When to send what. Prompts and answers have at least one token. `trace` has at least one request.
ReplayPlan plan_replay(const sim::Trace& trace, const ReplayOptions& options);

/// The prompt of request `index` of the trace. What it has beyond its blocks is like no other request's.
std::string replay_prompt(const sim::Trace& trace, std::size_t index, const ReplayOptions& options);

/// A run as a trace: arrivals, the tokens that were counted by the server, and blocks that nobody shares. What was not
/// answered has `prompt_tokens` and what was asked for.
sim::Trace trace_of(std::span<const Arrival> arrivals, std::span<const Outcome> outcomes, std::uint32_t prompt_tokens);

}  // namespace mooncake::cli
