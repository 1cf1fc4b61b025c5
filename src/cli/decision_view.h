// DecisionView: the page that `mooncake kv why` prints: what was decided for a request, between which candidates, and
// what really happened. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace mooncake::cli {

/// Renders the JSON of GET /mooncake/decisions/{id} (serve/gateway/decision_log.h) for a terminal.
/// @return kCorrupt if it is not such JSON.
Result<std::string> decision_view(std::string_view json);

}  // namespace mooncake::cli
