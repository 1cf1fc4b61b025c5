// A simulated cluster of coupled nodes: each computes prompts and generates answers on the same GPUs, as vLLM does
// without disaggregation. It is what a disaggregated cluster is compared with, and is modelled at its best where
// nothing is published:
//
//   prefill first   between two steps, as long as a prompt waits and there is KVCache for it, the prompt is computed
//   whole;
//                   nobody gets a token meanwhile
//   chunked         every step carries at most so many tokens of the first waiting prompt; it takes that much longer
//   prefix cache    a node keeps prefixes in its own GPU memory, all of the KVCache's room at once; no other node sees
//   them unbatched       one request at a time from its prompt to its last token
//
// Requests go to the node with the fewest unfinished ones. A step and a prefill take what the profile says, as in the
// disaggregated cluster.
//
// Pure and deterministic. Source: docs/simulator.md, coupled nodes.
#pragma once

#include <cstdint>
#include <optional>

#include "base/status.h"
#include "kvcache/cost_model.h"
#include "sim/cluster/cluster.h"
#include "sim/trace/trace.h"

namespace mooncake::sim {

struct CoupledConfig {
  std::uint32_t nodes = 1;
  kvcache::CostProfile profile{};
  bool prefix_cache = false;
  std::optional<std::uint32_t> chunk_tokens{};  ///< nothing: prompts are computed whole
  double chunk_overhead = 1;                    ///< computing in chunks takes so many times as long
  bool batched = true;
  std::uint64_t kv_tokens = 1'400'000;  ///< KVCache of a node
  double speed = 1;                     ///< arrivals come so many times as fast
};

/// Runs the whole trace. Instances in the outcomes are nodes; nothing is refused.
/// @return kInvalidArgument for a configuration out of range, and for a prompt that no node has room for.
Result<ClusterResult> run_coupled(const Trace& trace, const CoupledConfig& config);

}  // namespace mooncake::sim
