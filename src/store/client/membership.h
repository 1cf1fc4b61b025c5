// Membership: how a process joins the cluster through the master, and learns who else is in it and what the cache
// holds.
//
// Soft state: the master forgets everything when it dies and learns it again from these clients, which rejoin by
// themselves. While the master is away the last known view stands.
//
// Threads: created anywhere; callbacks run on the transfer engine's executor.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/key128.h"
#include "base/status.h"
#include "store/core/member.h"
#include "transfer/transfer_engine.h"

namespace mooncake::store {

/// A change of the directory: `node` now holds the keys, or no longer does, or (cleared) holds nothing.
struct CacheChange {
  enum class Kind : std::uint8_t { kStored, kRemoved, kCleared };
  Kind kind = Kind::kStored;
  std::string node;
  std::vector<Key128> keys;
};

struct MembershipConfig {
  std::string master;  ///< transfer endpoint
  Member self;         ///< role empty: only watch, do not join
  bool watch_members = false;
  bool watch_cache = false;
};

class Membership {
 public:
  struct Callbacks {
    std::function<void()> joined;                      ///< once, after the first successful join
    std::function<void(std::vector<Member>)> members;  ///< the whole list, whenever it changed
    /// In order. After a gap or a new master: kCleared for every node, then all it holds.
    std::function<void(std::vector<CacheChange>)> cache;
  };
  /// Starts joining and heartbeating. `engine` must outlive it.
  static std::unique_ptr<Membership> create(const MembershipConfig& config, transfer::TransferEngine& engine,
                                            Callbacks callbacks);
  /// Stops. The master sees the connection close and ends the membership.
  virtual ~Membership() = default;
};

}  // namespace mooncake::store
