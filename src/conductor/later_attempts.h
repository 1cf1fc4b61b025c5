// What a request may expect that has lost a worker: the gateway's rules for placing it again, which the simulator keeps
// to as well. Source: docs/serving.md, when a worker dies.
#pragma once

#include <cstdint>

#include "base/time.h"
#include "kvcache/slo.h"

namespace mooncake::conductor {

/// Workers that may be lost by a request that they had taken on; then it fails. A poison request cannot kill more.
inline constexpr std::uint32_t kAttemptsMax = 2;
/// Objectives of an attempt that must not be refused any more: the client has tokens already, or was admitted before.
inline constexpr kvcache::Slo kNoObjectives{.ttft = Seconds(86'400), .tbt = Seconds(86'400)};
/// How long a request waits for an instance of a role of which none is up. A killed worker is restarted and loaded
/// within about a second where models are small; longer than this and a client should hear 503.
inline constexpr Seconds kCapacityWait{5};

}  // namespace mooncake::conductor
