// Weights of rails: how much the way from one memory to another costs over each of them, from the topologies of both
// ends.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "transfer/topology/topology.h"

namespace mooncake::transfer {

/// A path between a device here and a device of the peer: two NICs, or two addresses.
struct Rail {
  std::string local;
  std::string remote;
  bool operator==(const Rail&) const = default;
};

/// What a secondary device costs at each end, where a preferred one costs 1. Its bytes cross the link between sockets,
/// which everything else shares: a near rail may have three slices in flight before an idle far one is as good.
inline constexpr double kSecondaryWeight = 3;
/// The weight of a rail that must not be used: a device that is not listed carries no bytes of that location.
inline constexpr double kNoRail = 0;

/// The memory at one end, by the topology of that machine. Borrowed.
struct RailEnd {
  const Topology& topology;
  std::string_view location;  ///< one that the topology does not know has every device equally near
};

/// For each rail the product of what its two devices cost; kNoRail if one of them is not listed for its end.
/// Compute it once for a pair of locations, not once a slice. Pure.
std::vector<double> rail_weights(std::span<const Rail> rails, const RailEnd& local, const RailEnd& remote);

}  // namespace mooncake::transfer
