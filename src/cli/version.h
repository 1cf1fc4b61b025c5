// What this binary is, for --version and benchmark reports.
#pragma once

#include <string_view>

namespace mooncake::cli {

/// "0.1.0".
std::string_view version();
/// The commit that it was built from, 12 hexadecimal digits; "unknown" outside a repository.
std::string_view commit();

}  // namespace mooncake::cli
