// Member: one process of the cluster, as it describes itself to the master.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace mooncake::store {

/// One process of the cluster. Roles: "node", "prefill", "decode", "gateway".
struct Member {
  std::string role;
  std::string name;           ///< unique in the cluster; a rejoining name replaces the old epoch
  std::string endpoint;       ///< transfer endpoint
  std::uint64_t epoch = 0;    ///< random per process lifetime
  std::string attached_node;  ///< workers: name of the node their puts go to; empty for others
  std::string model;          ///< workers: hex fingerprint of their KvLayout; empty for others
  auto operator<=>(const Member&) const = default;
};

}  // namespace mooncake::store
