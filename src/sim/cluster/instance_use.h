// InstanceUse: what each instance of a simulated cluster was given, and how much of the run it was busy. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/cluster/cluster.h"

namespace mooncake::sim {

struct PrefillUse {
  std::uint64_t prompts = 0;        ///< computed
  std::uint64_t wasted = 0;         ///< of these, for requests that were refused afterwards
  Nanos busy{};                     ///< computing and loading
  std::uint64_t prompt_blocks = 0;  ///< of the prompts
  std::uint64_t reused_blocks = 0;  ///< of these
};

struct DecodeUse {
  std::uint64_t requests = 0;  ///< with more than their first token
  Nanos busy{};                ///< with at least one request: being sent, waiting, or generating
  Nanos request_time{};        ///< the sum over its requests
};

/// One for each of `instances` prefill instances; more than any outcome names.
std::vector<PrefillUse> prefill_use(const Trace& trace, const ClusterResult& result, std::uint32_t instances);

/// Likewise of decode. O(n log n).
std::vector<DecodeUse> decode_use(const ClusterResult& result, std::uint32_t instances);

}  // namespace mooncake::sim
