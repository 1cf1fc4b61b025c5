#include "conductor/pools.h"

#include <algorithm>
#include <utility>

namespace mooncake::conductor {
PoolSizes pool_sizes(const InstanceTable& instances) {
  PoolSizes sizes;
  instances.for_each_usable(Role::kPrefill, [&](const InstanceChange&) { ++sizes.prefill; });
  instances.for_each_usable(Role::kDecode, [&](const InstanceChange&) { ++sizes.decode; });
  sizes.draining = static_cast<std::uint32_t>(instances.draining());
  return sizes;
}

std::vector<InstanceId> least_busy(const InstanceTable& instances, const LoadEstimate& load, Role role,
                                   std::uint32_t count, Instant now) {
  std::vector<std::pair<std::int64_t, InstanceId>> by_load;
  instances.for_each_usable(role, [&](const InstanceChange& instance) {
    const std::int64_t work = role == Role::kPrefill ? load.prefill_queue(instance.id, now).count()
                                                     : std::int64_t{load.decode(instance.id).requests};
    by_load.emplace_back(work, instance.id);
  });
  std::ranges::sort(by_load);
  std::vector<InstanceId> least;
  for (const auto& [work, id] : by_load) {
    if (least.size() == count) break;
    least.push_back(id);
  }
  return least;
}

std::vector<NodeId> prefill_nodes(const InstanceTable& instances) {
  std::vector<NodeId> nodes;
  instances.for_each_usable(Role::kPrefill,
                            [&](const InstanceChange& instance) { nodes.push_back(instance.attached_node); });
  std::ranges::sort(nodes);
  nodes.erase(std::ranges::unique(nodes).begin(), nodes.end());
  return nodes;
}

}  // namespace mooncake::conductor
