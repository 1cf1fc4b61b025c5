#include "cli/version.h"

namespace mooncake::cli {

std::string_view version() { return MOONCAKE_VERSION; }
std::string_view commit() { return MOONCAKE_COMMIT; }

}  // namespace mooncake::cli
