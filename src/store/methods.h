// Numbers of the store's messages; their payloads are in proto/store.proto.
#pragma once

#include <cstdint>

namespace mooncake::store {

inline constexpr std::uint16_t kMethodJoin = 1;       ///< any member to master
inline constexpr std::uint16_t kMethodHeartbeat = 2;  ///< any member to master
inline constexpr std::uint16_t kMethodPublish = 3;    ///< node to master
inline constexpr std::uint16_t kMethodLocate = 4;     ///< client to master
inline constexpr std::uint16_t kMethodWatch = 5;      ///< gateway or tool to master; answered when there is news
inline constexpr std::uint16_t kMethodPut = 16;       ///< client to node
inline constexpr std::uint16_t kMethodGet = 17;       ///< client to node

}  // namespace mooncake::store
