#include "sim/cluster/cluster_parts.h"

#include <fmt/core.h>

namespace mooncake::sim {

using conductor::InstanceId;
using conductor::NodeId;
using conductor::Role;

namespace {

constexpr double kBytesPerMsAtOneGbps = 1e9 / 8 / 1e3;

/// The configured profile over the configured network.
kvcache::CostProfile profile_of(const ClusterConfig& config) {
  kvcache::CostProfile profile = config.profile;
  profile.link_bytes_per_ms = config.link_gbps * kBytesPerMsAtOneGbps;
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
  return profile;
}

void announce_instances(conductor::Conductor& conductor, const ClusterConfig& config) {
  for (std::uint32_t i = 0; i < config.prefill; ++i) {
    conductor.on_instance(
        {.id = InstanceId{i}, .role = Role::kPrefill, .name = fmt::format("prefill-{}", i), .attached_node = NodeId{i}},
        Instant{});
  }
  for (std::uint32_t i = 0; i < config.decode; ++i) {
    conductor.on_instance({.id = InstanceId{config.prefill + i},
                           .role = Role::kDecode,
                           .name = fmt::format("decode-{}", i),
                           .attached_node = NodeId{config.prefill + i},
                           .sequences_max = UINT32_MAX,
                           .kv_tokens_max = config.prefill_only ? 0 : config.decode_kv_tokens},
                          Instant{});
  }
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
  if (!(config.speed > 0)) return out_of_range("the speed must be above 0");
  return {};
}

Result<std::vector<PrefillNode>> make_prefill_nodes(const ClusterConfig& config) {
  const kvcache::CostProfile profile = profile_of(config);
  const Link link(profile.link_bytes_per_ms, from_ms(profile.link_latency_ms));
  std::vector<PrefillNode> nodes;
  nodes.reserve(config.prefill);
  for (std::uint32_t i = 0; i < config.prefill; ++i) {
    MC_ASSIGN_OR_RETURN(auto policy, store::make_eviction_policy(config.eviction));
    nodes.emplace_back(NodeId{i}, BlockCache(config.cache_blocks_per_node, std::move(policy)), link);
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
  instances.reserve(config.decode);
  for (std::uint32_t i = 0; i < config.decode; ++i) {
    instances.push_back({.schedule = conductor::DecodeSchedule(limits), .batch = DecodeBatch(truth, i)});
  }
  return instances;
}

std::unique_ptr<conductor::Conductor> make_conductor(const ClusterConfig& config) {
  auto conductor =
      conductor::Conductor::create({.placement = config.placement,
                                    .admission = config.admission,
                                    .slo = config.slo,
                                    .balancing_threshold = config.balancing_threshold,
                                    .block_tokens = kTraceBlockTokens,
                                    .computed_tokens_min = kComputedTokensMin,
                                    .decode_time = config.decode_time,
                                    .seed = config.seed},
                                   kvcache::make_cost_model(believed(profile_of(config), config.believed_factor)));
  announce_instances(*conductor, config);
  return conductor;
}

}  // namespace mooncake::sim
