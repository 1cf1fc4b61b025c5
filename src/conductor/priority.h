// Priority: whom admission refuses first; trunk_reservation.h says how. It changes nothing about the order in which
// admitted requests are served.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"

namespace mooncake::conductor {

enum class Priority : std::uint8_t { kLow, kNormal, kHigh };

/// "low", "normal", "high". @return kInvalidArgument, naming them.
Result<Priority> parse_priority(std::string_view name);
std::string_view priority_name(Priority priority);

}  // namespace mooncake::conductor
