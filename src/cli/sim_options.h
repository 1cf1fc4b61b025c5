// What the options of `mooncake sim` mean to the simulator.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/config.h"
#include "base/status.h"
#include "sim/cluster/cluster.h"

namespace mooncake::cli {

/// "inf" or a number of blocks, at least 1. @return kInvalidArgument, naming `flag`.
Result<std::optional<std::uint64_t>> parse_capacity(std::string_view flag, const std::string& text);

/// The section sim_run. @return kInvalidArgument for values that do not parse; kNotFound for an unknown profile.
Result<sim::ClusterConfig> cluster_config(const Config& config);

}  // namespace mooncake::cli
