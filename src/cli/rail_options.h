// The options by which an engine gets its rails: the further endpoints, and what is near what.
#pragma once

#include <string_view>

#include "base/config.h"
#include "transfer/transfer_engine.h"

namespace mooncake::cli {

/// What `rails` and `topology` of that section ("transfer_serve") say, into `config`.
void set_rails(const Config& options, std::string_view section, transfer::TransferConfig& config);

}  // namespace mooncake::cli
