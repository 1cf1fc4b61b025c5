// The topology that an operator wrote, instead of the one that would be discovered.
#pragma once

#include <string>

#include "base/status.h"
#include "transfer/topology/topology.h"

namespace mooncake::transfer {

/// Reads it as topology_json.h says. Blocks.
/// @return kNotFound if it cannot be read; kInvalidArgument that names the file, the place in it and what was expected.
Result<Topology> read_topology_file(const std::string& path);

}  // namespace mooncake::transfer
