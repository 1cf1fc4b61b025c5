// A Topology as JSON, which is how an operator overrides what was discovered:
//
//   {
//     "cpu:0": [["mlx5_0", "eth0"], ["mlx5_1"]],
//     "cuda:0": [["mlx5_1"], []]
//   }
//
// An object from memory locations to the preferred and the secondary devices. Pure and total: any bytes are a topology
// or an error (tests/fuzz/topology_fuzz.cc).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/status.h"
#include "transfer/topology/topology.h"

namespace mooncake::transfer {

/// A machine of 8 NUMA nodes, 16 GPUs and 32 devices takes 12 KB.
inline constexpr std::size_t kTopologyBytesMax = 1u << 20;

/// Strict: two classes, no name twice in a location, no location twice, every limit of topology.h; at least one
/// location. @return kInvalidArgument that says where, and what was expected there.
Result<Topology> parse_topology(std::string_view json);

/// What parse_topology() accepts and reads as the same value, one location a line, with a newline at the end. The
/// topology keeps the limits and names of topology.h.
std::string format_topology(const Topology& topology);

}  // namespace mooncake::transfer
