// MasterCore: everything a master decides: sessions of members, and what their nodes hold.
//
// A node's session begins with an empty directory for it; what it publishes over that session counts until the session
// ends. So a node that was cut off can never leave stale entries behind: it rejoins and reports everything again.
//
// Pure: no clock, no thread, no I/O. Thread-compatible.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "store/core/directory.h"
#include "store/core/membership_core.h"

namespace mooncake::store {

/// Names of nodes that one master process can learn: a NodeSlot each, never reused, so restarts under a new name count.
inline constexpr std::size_t kNodeNamesMax = 4096;
/// Members at once. Each costs a heartbeat every half second: 10,000 are 20,000 messages a second.
inline constexpr std::size_t kMembersMax = 10'000;
/// Changes kept for followers: 32 bytes each, 8 MiB.
inline constexpr std::size_t kLogChangesMax = 1u << 18;

/// A node as placement sees it.
struct NodeState {
  std::string name;
  std::string endpoint{};  ///< of the live session
  bool live = false;
  std::uint64_t bytes_used = 0;  ///< as of its last heartbeat
  std::uint64_t bytes_capacity = 0;
};

/// One entry of a publication.
struct Publication {
  bool stored = true;  ///< false: removed
  Key128 key;
  std::uint32_t crc32c = 0;
};

class MasterCore {
 public:
  MasterCore(Millis heartbeat_timeout, std::uint64_t seed, std::size_t log_changes_max = kLogChangesMax);

  /// @return kInvalidArgument for a member without role, name or endpoint; kExhausted at a limit.
  Result<SessionId> join(Member member, ConnectionId connection, Instant now);
  /// @return kStale when the session is over: the sender has to join again.
  Status heartbeat(SessionId session, ConnectionId connection, std::uint64_t bytes_used, std::uint64_t bytes_capacity,
                   Instant now);
  /// Applies a node's changes in order. @return the indexes that it must drop again; kStale when the session is over,
  /// kInvalidArgument when its member is no node.
  Result<std::vector<std::uint32_t>> publish(SessionId session, ConnectionId connection,
                                             std::span<const Publication> changes, Instant now);
  /// @return the names of members that this ended.
  std::vector<Member> connection_lost(ConnectionId connection);
  std::vector<Member> tick(Instant now);

  [[nodiscard]] const Directory& directory() const { return directory_; }
  [[nodiscard]] const MembershipCore& membership() const { return membership_; }
  /// By NodeSlot; nodes that are not live hold nothing.
  [[nodiscard]] const std::vector<NodeState>& nodes() const { return nodes_; }

 private:
  Result<NodeSlot> slot_of(const std::string& name);
  std::vector<Member> forget(std::vector<MembershipCore::Ended> ended);

  MembershipCore membership_;
  Directory directory_;
  std::vector<NodeState> nodes_;
  absl::flat_hash_map<std::string, NodeSlot> slots_;
};

}  // namespace mooncake::store
