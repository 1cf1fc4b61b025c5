#include "sim/cache/cache_replay.h"

#include <absl/container/flat_hash_map.h>
#include <fmt/core.h>

#include <algorithm>
#include <vector>

#include "base/rng.h"
#include "sim/cache/belady_policy.h"
#include "sim/cache/block_cache.h"

namespace mooncake::sim {
namespace {

std::uint32_t node_of(std::uint64_t request, const CacheReplayConfig& config) {
  const std::uint64_t draw = config.routing == CacheRouting::kRandom ? splitmix64(request) : request;
  return static_cast<std::uint32_t>(draw % config.nodes);
}

/// For each node the next uses of the blocks that it will use, in the order of its uses.
std::vector<std::vector<std::uint64_t>> next_uses(const Trace& trace, const CacheReplayConfig& config) {
  std::vector<std::vector<std::uint64_t>> next(config.nodes);
  std::vector<absl::flat_hash_map<TraceBlock, std::uint64_t>> last(config.nodes);
  for (std::uint64_t number = 0; number < trace.requests.size(); ++number) {
    const std::uint32_t node = node_of(number, config);
    for (const TraceBlock block : trace.blocks_of(trace.requests[number])) {
      const std::uint64_t now = next[node].size();
      const auto [entry, fresh] = last[node].try_emplace(block, now);
      if (!fresh) next[node][entry->second] = now;
      entry->second = now;
      next[node].push_back(BeladyPolicy::kNever);
    }
  }
  return next;
}

Result<std::vector<BlockCache>> make_caches(const Trace& trace, const CacheReplayConfig& config) {
  const bool optimum = config.policy == "opt";
  auto future = optimum ? next_uses(trace, config) : std::vector<std::vector<std::uint64_t>>(config.nodes);
  std::vector<BlockCache> caches;
  caches.reserve(config.nodes);
  for (std::vector<std::uint64_t>& uses : future) {
    std::unique_ptr<store::EvictionPolicy> policy;
    if (optimum) {
      policy = std::make_unique<BeladyPolicy>(std::move(uses));
    } else {
      MC_ASSIGN_OR_RETURN(policy, store::make_eviction_policy(config.policy));
    }
    caches.emplace_back(config.capacity_blocks, std::move(policy));
  }
  return caches;
}

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

Result<CacheReplayReport> replay_cache(const Trace& trace, const CacheReplayConfig& config) {
  if (config.capacity_blocks == 0) return Status(Code::kInvalidArgument, "a cache needs room for at least one block");
  if (config.nodes == 0 || config.nodes > kCacheNodesMax) {
    return Status(Code::kInvalidArgument, fmt::format("expected 1 to {} nodes, got {}", kCacheNodesMax, config.nodes));
  }
  MC_ASSIGN_OR_RETURN(std::vector<BlockCache> caches, make_caches(trace, config));
  std::uint64_t hits = 0;
  std::uint64_t prefix_hits = 0;
  std::uint64_t prefix_tokens = 0;
  std::uint64_t tokens = 0;
  for (std::uint64_t number = 0; number < trace.requests.size(); ++number) {
    const TraceRequest& request = trace.requests[number];
    const std::span<const TraceBlock> blocks = trace.blocks_of(request);
    BlockCache& cache = caches[node_of(number, config)];
    const auto missing = std::ranges::find_if_not(blocks, [&](TraceBlock block) { return cache.contains(block); });
    const auto leading = static_cast<std::uint64_t>(missing - blocks.begin());
    prefix_hits += leading;
    prefix_tokens += std::min<std::uint64_t>(kTraceBlockTokens * leading, request.input_tokens);
    tokens += request.input_tokens;
    for (std::uint32_t depth = 0; depth < blocks.size(); ++depth) hits += cache.use(blocks[depth], depth).hit ? 1 : 0;
  }
  return CacheReplayReport{.requests = trace.requests.size(),
                           .block_refs = trace.blocks.size(),
                           .distinct_blocks = trace.distinct_blocks,
                           .hit_rate_prefix_block = share(prefix_hits, trace.blocks.size()),
                           .hit_rate_block = share(hits, trace.blocks.size()),
                           .hit_rate_prefix_token = share(prefix_tokens, tokens)};
}

}  // namespace mooncake::sim
