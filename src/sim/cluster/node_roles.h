// NodeRoles: which role each node of a simulated cluster has, and the change from one to the other: a node that is to
// change takes nothing new, finishes what it has been given, and has the other role from then on.
//
// The Conductor knows a node as two instances, of which one is up: prefill instance i, and decode instance `first
// decode id` + k. In a cluster whose roles are fixed node i is one of them only. Pure; thread-compatible.
#pragma once

#include <cstdint>
#include <vector>

#include "conductor/conductor.h"
#include "sim/cluster/cluster.h"

namespace mooncake::sim {

/// How many instances of a role there may be at once, up or not.
struct InstanceSlots {
  std::uint32_t prefill = 0;  ///< ids from 0
  std::uint32_t decode = 0;   ///< ids from `prefill`
};
InstanceSlots instance_slots(const ClusterConfig& config);

class NodeRoles {
 public:
  /// Tells `conductor`, which must outlive it, which instances are up.
  NodeRoles(const ClusterConfig& config, conductor::Conductor& conductor);

  /// An instance was given a request, or is done with one.
  void given(conductor::InstanceId instance) { ++in_flight_[static_cast<std::size_t>(instance)]; }
  void done(conductor::InstanceId instance, Instant now);
  /// Begins what the Conductor has decided.
  void change(const conductor::Action& action, Instant now);

  [[nodiscard]] std::uint64_t changes() const { return changes_; }
  [[nodiscard]] std::uint32_t prefill_nodes() const { return prefill_nodes_; }

 private:
  [[nodiscard]] conductor::InstanceChange instance(conductor::InstanceId id) const;
  void finish(conductor::InstanceId instance, Instant now);

  const ClusterConfig& config_;
  const InstanceSlots slots_;
  conductor::Conductor& conductor_;
  std::vector<std::uint32_t> in_flight_;  // by instance
  std::vector<bool> draining_;            // likewise
  std::uint64_t changes_ = 0;
  std::uint32_t prefill_nodes_;
};

}  // namespace mooncake::sim
