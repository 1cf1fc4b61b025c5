// Workload: a trace in figures: how much, how fast, how long, and how much of it is asked for again. Pure.
#pragma once

#include <cstdint>

#include "sim/report/summary.h"
#include "sim/trace/trace.h"

namespace mooncake::sim {

struct Workload {
  std::uint64_t requests = 0;
  double span_s = 0;          ///< first to last arrival
  double requests_per_s = 0;  ///< requests / span_s; 0 if all came at once
  Summary input_tokens;
  Summary output_tokens;
  std::uint64_t block_refs = 0;
  std::uint64_t distinct_blocks = 0;
  double used_once = 0;  ///< share of the distinct blocks that one request used, and no other
  double reusable_blocks =
      0;  ///< share of block_refs that stood in an earlier request: what a cache without limit finds
  double reusable_tokens = 0;                ///< the same of input tokens, leading blocks only
  std::uint64_t hottest_block_requests = 0;  ///< requests that begin with, or contain, the block used most
  Summary reuse_gap_s;                       ///< time from one use of a block to the next
};

/// `trace` has at least one request.
Workload describe(const Trace& trace);

}  // namespace mooncake::sim
