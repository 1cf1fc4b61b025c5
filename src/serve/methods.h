// Numbers of the messages between gateway and workers; their payloads are in proto/serve.proto.
#pragma once

#include <cstdint>

namespace mooncake::serve {

inline constexpr std::uint16_t kMethodPrefill = 100;     ///< gateway to prefill worker
inline constexpr std::uint16_t kMethodReserve = 101;     ///< prefill worker to decode worker
inline constexpr std::uint16_t kMethodJoin = 102;        ///< prefill worker to decode worker
inline constexpr std::uint16_t kMethodTokens = 103;      ///< any worker to gateway
inline constexpr std::uint16_t kMethodCancel = 104;      ///< gateway to any worker
inline constexpr std::uint16_t kMethodStats = 105;       ///< gateway to any worker
inline constexpr std::uint16_t kMethodChangeRole = 106;  ///< leading gateway to any worker
inline constexpr std::uint16_t kMethodReplicate = 107;   ///< leading gateway to prefill worker

}  // namespace mooncake::serve
