// The options by which the processes of a cluster convince each other that they belong together. They name files, so
// that no secret is ever on a command line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "transfer/auth/auth_config.h"

namespace mooncake::cli {

/// As `section` says ("worker").
transfer::AuthConfig auth_config(const Config& config, std::string_view section);

/// The flags that say the same to another process; none for what is a default.
std::vector<std::string> auth_arguments(const transfer::AuthConfig& auth);

}  // namespace mooncake::cli
