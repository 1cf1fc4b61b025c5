// CacheReplay: what part of a trace's prompts a cache would have held, by its size, its policy, and how many nodes
// share the work. No times and no scheduler: requests come in the order of the trace, one after the other.
//
// For each request the leading blocks that its node holds are counted; then all of its blocks are used, from the first
// to the last, and those that are missing come in.
//
// Pure and deterministic.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"
#include "sim/trace/trace.h"

namespace mooncake::sim {

enum class CacheRouting : std::uint8_t {
  kRandom,      ///< node = splitmix64(number of the request, from 0) mod nodes
  kRoundRobin,  ///< node = number of the request mod nodes
};

/// Bound of `nodes`: caches are tables, and one that has no request still costs 100 bytes.
inline constexpr std::uint32_t kCacheNodesMax = 100'000;

struct CacheReplayConfig {
  std::string policy = "default";                     ///< of the store (eviction_policy.h), or "opt": Belady's optimum
  std::optional<std::uint64_t> capacity_blocks = {};  ///< of each node; nothing: no limit
  std::uint32_t nodes = 1;
  CacheRouting routing = CacheRouting::kRandom;
};

struct CacheReplayReport {
  std::uint64_t requests = 0;
  std::uint64_t block_refs = 0;       ///< blocks of all requests
  std::uint64_t distinct_blocks = 0;  ///< of the trace
  double hit_rate_prefix_block = 0;   ///< leading blocks that were there, of all blocks
  double hit_rate_block = 0;          ///< blocks that were there when they were used, leading or not, of all blocks
  double hit_rate_prefix_token = 0;   ///< as prefix_block, in tokens: 512 a block, but no more than the prompt has
};

/// @return kInvalidArgument for a policy that there is not, a capacity of 0, and a number of nodes out of range.
Result<CacheReplayReport> replay_cache(const Trace& trace, const CacheReplayConfig& config);

}  // namespace mooncake::sim
