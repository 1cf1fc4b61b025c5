// Where the tools find the cluster (`--url`, else the cluster.json of the run directory), and what it serves.
#pragma once

#include <string>
#include <string_view>

#include "cli/command.h"

namespace mooncake::cli {

/// The gateway's URL for the tool whose options are in `section` (its keys `url` and `run_dir`).
/// @return kNotFound if no cluster is up in the run directory, with what to do.
Result<std::string> cluster_url(const Invocation& invocation, std::string_view section);

/// The id of the model that the gateway at `url` serves. Blocks for at most ten seconds.
Result<std::string> served_model(const std::string& url);

}  // namespace mooncake::cli
