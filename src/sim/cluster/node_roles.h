// NodeRoles: which role each node of a simulated cluster has, and the change from one to the other: a node that is to
// change takes nothing new, finishes what it has been given, and has the other role from then on.
//
// A node that fails is neither, and comes back with the role that it had. One that was about to change has no work left
// to finish: it comes back with the role that it was asked to take.
//
// The Conductor knows a node as two instances, of which one is up: prefill instance i, and decode instance `first
// decode id` + k. In a cluster whose roles are fixed node i is one of them only. Pure; thread-compatible.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "conductor/conductor.h"
#include "sim/cluster/cluster.h"

namespace mooncake::sim {

/// How many instances of a role there may be at once, up or not.
struct InstanceSlots {
  std::uint32_t prefill = 0;  ///< ids from 0
  std::uint32_t decode = 0;   ///< ids from `prefill`
  /// Prefill instance i is of node i, decode instance k of node `first_decode_node` + k.
  std::uint32_t first_decode_node = 0;
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
  /// A node fails: its instance is down until repair(). The owner says done() of what it had been given.
  void fail(std::uint32_t node, Instant now);
  void repair(std::uint32_t node, Instant now);

  /// Whether requests can be placed at all: an instance of each role is up and does not drain.
  [[nodiscard]] bool complete() const { return usable_prefill_ > 0 && usable_decode_ > 0; }
  /// Nobody has been given anything that is not done.
  [[nodiscard]] bool idle() const {
    return std::ranges::all_of(in_flight_, [](std::uint32_t count) { return count == 0; });
  }
  [[nodiscard]] std::uint64_t changes() const { return changes_; }
  [[nodiscard]] std::uint32_t prefill_nodes() const { return prefill_nodes_; }

 private:
  [[nodiscard]] conductor::InstanceChange instance(conductor::InstanceId id) const;
  [[nodiscard]] conductor::InstanceId instance_of(std::uint32_t node) const;
  [[nodiscard]] std::uint32_t& usable(bool prefill) { return prefill ? usable_prefill_ : usable_decode_; }
  void take_other_role(std::uint32_t node);
  void finish(conductor::InstanceId instance, Instant now);

  const ClusterConfig& config_;
  const InstanceSlots slots_;
  conductor::Conductor& conductor_;
  std::vector<std::uint32_t> in_flight_;  // by instance
  std::vector<bool> draining_;            // likewise
  std::vector<bool> is_prefill_;          // by node
  std::uint32_t usable_prefill_;          // up, and do not drain
  std::uint32_t usable_decode_;           // likewise
  std::uint64_t changes_ = 0;
  std::uint32_t prefill_nodes_;
};

}  // namespace mooncake::sim
