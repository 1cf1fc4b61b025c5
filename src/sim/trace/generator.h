// Generates traces: sessions of requests whose prompts begin alike, in the shapes of the published workloads.
//
// A session opens with a prompt that other sessions may share (a system prompt, tools, a document) and something of its
// own. Each further turn repeats the prompt before, with its answer and more of the user's. Sessions begin at random
// (Poisson), turns follow at random times, lengths are log-normal, and how often a shared prompt is used follows Zipf's
// law. The constants of a preset are calibrated to the means that FAST'25 publishes for its workload (Table 1 of the
// evaluation): they say nothing about anything else in it.
//
// Pure and deterministic for a seed.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "sim/trace/trace.h"

namespace mooncake::sim {

/// What a workload is made of. Tokens and seconds are means, sigmas those of the logarithms.
struct WorkloadShape {
  std::string_view name;
  double requests_per_s = 1;
  std::uint32_t shared_prompts = 1;  ///< different openings
  double zipf = 1;                   ///< exponent of their popularity
  double shared_tokens = 0;          ///< length of an opening
  double shared_sigma = 0;
  double opening_tokens = 0;  ///< of its own that a session adds
  double opening_sigma = 1;
  double turns = 1;        ///< of a session, geometric
  double turn_tokens = 0;  ///< what a further turn adds, besides the answer before
  double turn_sigma = 1;
  double turn_gap_s = 60;  ///< from one turn to the next, exponential
  double answer_tokens = 100;
  double answer_sigma = 1;
};

/// Longest prompt that is generated: the window of the model in the paper.
inline constexpr std::uint32_t kGeneratedTokensMax = 131'072;

/// "conversation", "toolagent" or "synthetic". @return kInvalidArgument, naming them.
Result<WorkloadShape> workload_shape(std::string_view preset);

/// `requests` of them in the order of their arrivals, at least 1.
Trace generate_trace(const WorkloadShape& shape, std::uint64_t requests, std::uint64_t seed);

}  // namespace mooncake::sim
