// The pools of a cluster: how many there are, and who has the least to do. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "base/time.h"
#include "conductor/conductor.h"
#include "conductor/elastic_roles.h"
#include "conductor/instance_table.h"
#include "conductor/load_estimate.h"

namespace mooncake::conductor {

PoolSizes pool_sizes(const InstanceTable& instances);

/// `count` usable instances of a role, or all that there are: those with the least to do, ties by lowest id.
std::vector<InstanceId> least_busy(const InstanceTable& instances, const LoadEstimate& load, Role role,
                                   std::uint32_t count, Instant now);

/// The nodes of usable prefill instances, ascending, each once.
std::vector<NodeId> prefill_nodes(const InstanceTable& instances);

}  // namespace mooncake::conductor
