// Where the values of --json go.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace mooncake::cli {

/// What `--json` without a file means: standard output, which then carries nothing else.
inline constexpr std::string_view kJsonToStdout = "-";

/// Writes `text` to the file, by rename, or to standard output. No-op without a target.
/// @return kUnavailable if it cannot be written.
Status write_json(const std::string& target, std::string_view text);

}  // namespace mooncake::cli
