// WatcherTable: those who follow the membership and the cache, and what each of them is told next.
//
// A watcher asks "what came after this?" and is answered at once when something did, and otherwise when something does.
// One whose position the change log does not reach (it is new, fell behind, or followed another master) gets a copy of
// everything, in parts; changes meanwhile wait in the log.
//
// Threads: everything on the executor.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "store/core/master_core.h"
#include "transfer/transfer_engine.h"

namespace mooncake::store::pb {
class WatchReply;
class WatchRequest;
}  // namespace mooncake::store::pb

namespace mooncake::store {

/// A watcher without news is answered after this, so that it knows the master lives.
inline constexpr Seconds kWatchPatience{5};
/// Gateways and tools; each may hold one answer open.
inline constexpr std::size_t kWatchersMax = 1'024;
/// Copies told at the same time; each lists all keys, 16 bytes an object.
inline constexpr std::size_t kCopiesMax = 16;
/// A copy whose watcher does not ask for the next part is dropped after this.
inline constexpr Seconds kCopyIdleMax{10};

class WatcherTable {
 public:
  /// `core` must outlive it. `master_epoch` is never 0.
  WatcherTable(const MasterCore& core, std::uint64_t master_epoch);
  ~WatcherTable();

  /// Handles one message of kMethodWatch.
  void watch(transfer::PeerHandle peer, const std::string& payload, transfer::Responder responder, Instant now);
  /// Answers those for whom there is news, and those who waited long enough; forgets idle copies.
  void tick(Instant now);
  void forget(transfer::PeerHandle peer);
  [[nodiscard]] std::size_t size() const { return waiting_.size(); }

 private:
  struct Waiting;
  struct Copy {
    std::uint64_t position = 0;  // of the log when it was taken
    std::vector<std::pair<NodeSlot, std::vector<Key128>>> parts;
    Instant used{};
  };

  /// @return false when there is nothing to tell.
  bool tell(const pb::WatchRequest& request, pb::WatchReply& reply, Instant now);
  bool tell_members(const pb::WatchRequest& request, pb::WatchReply& reply) const;
  bool tell_cache(const pb::WatchRequest& request, pb::WatchReply& reply, Instant now);
  bool begin_copy(pb::WatchReply& reply, Instant now);
  void tell_copy(std::uint64_t id, pb::WatchReply& reply, Instant now);
  void tell_changes(const std::vector<DirectoryChange>& changes, pb::WatchReply& reply) const;

  const MasterCore& core_;
  const std::uint64_t master_epoch_;
  std::list<std::unique_ptr<Waiting>> waiting_;
  std::map<std::uint64_t, Copy> copies_;
  std::uint64_t next_copy_ = 1;
};

}  // namespace mooncake::store
