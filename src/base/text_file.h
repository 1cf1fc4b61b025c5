// Text files that a user names: read whole, with a limit.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/status.h"

namespace mooncake {

/// The file's bytes. `what` names it in messages: "cost profile".
/// @return kNotFound if it cannot be read; kInvalidArgument if it is longer than `bytes_max`.
Result<std::string> read_text_file(const std::string& path, std::size_t bytes_max, std::string_view what);

}  // namespace mooncake
