// What a simulated cluster is made of, from its configuration. Pure.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "conductor/local/decode_schedule.h"
#include "sim/cluster/cluster.h"
#include "sim/cluster/decode_batch.h"
#include "sim/cluster/prefill_node.h"

namespace mooncake::sim {

/// Tokens of a prompt that are computed even if all of it is cached: the last one's logits are in no cache.
inline constexpr std::uint32_t kComputedTokensMin = 1;

struct DecodeInstance {
  conductor::DecodeSchedule schedule;
  DecodeBatch batch;
  Instant next_step = Instant::max();        ///< the event that counts; others are outdated
  std::deque<DecodeBatch::Member> landed{};  ///< who waits for room in the batch, first come, first served
};

/// @return kInvalidArgument, saying what is out of range.
Status check(const ClusterConfig& config);

/// @return kInvalidArgument for an eviction policy that there is not.
Result<std::vector<PrefillNode>> make_prefill_nodes(const ClusterConfig& config);

/// One of them, with nothing in memory, and on its SSDs `ssd_cache`, or nothing.
Result<PrefillNode> make_prefill_node(const ClusterConfig& config, std::uint32_t number,
                                      std::optional<BlockCache> ssd_cache = std::nullopt);

/// Steps cost what `truth` says, which has to outlive them.
std::vector<DecodeInstance> make_decode_instances(const ClusterConfig& config, const kvcache::CostModel& truth);

/// The production Conductor, without instances yet; node_roles.h tells it of them.
std::unique_ptr<conductor::Conductor> make_conductor(const ClusterConfig& config);

}  // namespace mooncake::sim
