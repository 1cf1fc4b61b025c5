// CommandLine: from the words that were typed to the subcommand that does it, by CLI11.
#pragma once

#include <string>
#include <vector>

#include "cli/options.h"

namespace mooncake::cli {

/// Parses `words` (the program's name first), loads the configuration and runs the subcommand.
/// @return the exit status: 0 done, 1 failed, 2 wrong usage or configuration. Help, version and errors are printed.
int run_command_line(const std::vector<std::string>& words, const Environment& environment);

}  // namespace mooncake::cli
