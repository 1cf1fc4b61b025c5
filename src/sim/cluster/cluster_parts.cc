#include "sim/cluster/cluster_parts.h"

#include <fmt/core.h>

#include "conductor/placement.h"
#include "sim/cluster/node_roles.h"

namespace mooncake::sim {

using conductor::NodeId;

namespace {

constexpr double kBytesPerMsAtOneGbps = 1e9 / 8 / 1e3;

/// The configured profile over the configured network.
kvcache::CostProfile profile_of(const ClusterConfig& config) {
  kvcache::CostProfile profile = config.profile;
  profile.link_bytes_per_ms = config.link_gbps * kBytesPerMsAtOneGbps;
  profile.ssd_bytes_per_ms = config.ssd_gbps * kBytesPerMsAtOneGbps;
  return profile;
}

/// A profile under which everything takes `factor` times as long.
kvcache::CostProfile believed(kvcache::CostProfile profile, double factor) {
  using Profile = kvcache::CostProfile;
  for (double Profile::*time :
       {&Profile::prefill_fixed_ms, &Profile::prefill_ms_per_token, &Profile::prefill_ms_per_token2,
        &Profile::load_fixed_ms, &Profile::load_ms_per_token, &Profile::step_fixed_ms, &Profile::step_ms_per_sequence,
        &Profile::step_ms_per_context_token, &Profile::link_latency_ms}) {
    profile.*time *= factor;
  }
  profile.link_bytes_per_ms /= factor;
  profile.ssd_bytes_per_ms /= factor;
  return profile;
}

}  // namespace

Status check(const ClusterConfig& config) {
  const auto out_of_range = [](std::string_view what) { return Status(Code::kInvalidArgument, std::string(what)); };
  for (const std::uint32_t instances : {config.prefill, config.decode}) {
    if (instances == 0 || instances > kClusterInstancesMax) {
      return out_of_range(fmt::format("expected 1 to {} instances of a role, got {}", kClusterInstancesMax, instances));
    }
  }
  if (config.cache_blocks_per_node == 0) return out_of_range("a cache needs room for at least one block");
  if (!(config.link_gbps > 0)) return out_of_range("a link needs a rate above 0");
  if (!(config.ssd_gbps > 0)) return out_of_range("SSDs need a rate above 0");
  if (config.ssd_blocks_per_node > 0 && !config.cache_blocks_per_node) {
    return out_of_range(
        "below memory without a limit SSDs are never read: say how many blocks memory holds "
        "(--cache-blocks-per-node)");
  }
  if (config.elastic && config.prefill_only) return out_of_range("without decode there are no roles to change");
  if (!(config.speed > 0)) return out_of_range("the speed must be above 0");
  if (config.mtbf && (*config.mtbf < kMtbfMin || *config.mtbf > kMtbfMax)) {
    return out_of_range(
        fmt::format("expected nodes to fail after {} to {} s in the mean, got {}; leave the time out "
                    "for nodes that never fail",
                    kMtbfMin.count(), kMtbfMax.count(), to_ms(*config.mtbf) / 1e3));
  }
  if (config.repair < Nanos{0} || config.repair > kMtbfMax) {
    return out_of_range(
        fmt::format("expected nodes to be back after 0 to {} s, got {}", kMtbfMax.count(), to_ms(config.repair) / 1e3));
  }
  return {};
}

Result<PrefillNode> make_prefill_node(const ClusterConfig& config, std::uint32_t number,
                                      std::optional<BlockCache> ssd_cache) {
  const kvcache::CostProfile profile = profile_of(config);
  const Link link(profile.link_bytes_per_ms, from_ms(profile.link_latency_ms));
  const Link ssds(profile.ssd_bytes_per_ms, Nanos{0});
  MC_ASSIGN_OR_RETURN(auto policy, store::make_eviction_policy(config.eviction));
  BlockCache memory(config.cache_blocks_per_node, std::move(policy));
  if (!ssd_cache && config.ssd_blocks_per_node > 0) {
    MC_ASSIGN_OR_RETURN(auto ssd_policy, store::make_eviction_policy(config.eviction));
    ssd_cache.emplace(config.ssd_blocks_per_node, std::move(ssd_policy));
  }
  return PrefillNode(NodeId{number}, TieredCache(std::move(memory), std::move(ssd_cache)), link, ssds);
}

Result<std::vector<PrefillNode>> make_prefill_nodes(const ClusterConfig& config) {
  std::vector<PrefillNode> nodes;
  const std::uint32_t count = instance_slots(config).prefill;
  nodes.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    MC_ASSIGN_OR_RETURN(PrefillNode node, make_prefill_node(config, i));
    nodes.push_back(std::move(node));
  }
  return nodes;
}

std::vector<DecodeInstance> make_decode_instances(const ClusterConfig& config, const kvcache::CostModel& truth) {
  // Prompts may land at any time: the memory of hosts is large against what waits.
  const conductor::DecodeLimits limits{.sequences_max = UINT32_MAX,
                                       .kv_tokens_max = config.decode_kv_tokens,
                                       .landings_max = UINT32_MAX,
                                       .landing_bytes_max = 0,
                                       .waiting_max = UINT32_MAX};
  std::vector<DecodeInstance> instances;
  const std::uint32_t count = instance_slots(config).decode;
  instances.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    instances.push_back({.schedule = conductor::DecodeSchedule(limits), .batch = DecodeBatch(truth, i)});
  }
  return instances;
}

std::unique_ptr<conductor::Conductor> make_conductor(const ClusterConfig& config) {
  auto chooser =
      config.chooser ? config.chooser(config.seed) : conductor::make_prefill_chooser(config.placement, config.seed);
  return conductor::Conductor::create({.placement = config.placement,
                                       .admission = config.admission,
                                       .slo = config.slo,
                                       .balancing_threshold = config.balancing_threshold,
                                       .block_tokens = kTraceBlockTokens,
                                       .computed_tokens_min = kComputedTokensMin,
                                       .decode_time = config.decode_time,
                                       .seed = config.seed,
                                       .elastic = config.elastic,
                                       .replicate = config.replicate},
                                      kvcache::make_cost_model(believed(profile_of(config), config.believed_factor)),
                                      std::move(chooser));
}

}  // namespace mooncake::sim
