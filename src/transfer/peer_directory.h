// PeerDirectory: which handle is the peer at which endpoint, now. The part of the peers that any thread may ask for.
// Thread-safe.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <deque>
#include <string>

#include "base/mutex.h"
#include "base/status.h"
#include "transfer/transfer_engine.h"

namespace mooncake::transfer {

/// Every process of a cluster knows every other at most; 4,096 processes.
inline constexpr std::size_t kPeersMax = 4096;
/// Handles that never became a peer are remembered that long, so that a late call still learns why.
inline constexpr std::size_t kFailedPeersMax = 1024;

class PeerDirectory {
 public:
  struct Found {
    PeerHandle handle;
    bool added = false;  ///< it is new, and nobody connects yet
  };

  /// The peer at `name`. @return kExhausted at kPeersMax.
  Result<Found> find_or_add(const PeerName& name) EXCLUDES(mutex_);
  /// A new peer that takes over `name`, whoever had it. @return kExhausted at kPeersMax.
  Result<PeerHandle> add(const PeerName& name) EXCLUDES(mutex_);
  /// A new peer that says to be at `name`, and is not found by it. @return kExhausted at kPeersMax.
  Result<PeerHandle> add_unlisted(const PeerName& name) EXCLUDES(mutex_);
  /// The peer is over. `never_live`: calls on its handle will be told `why`.
  void remove(PeerHandle peer, bool never_live, const Status& why) EXCLUDES(mutex_);

  /// Empty if the handle names no peer (any more).
  [[nodiscard]] PeerName name_of(PeerHandle peer) const EXCLUDES(mutex_);
  /// Why there is no such peer.
  [[nodiscard]] Status why_gone(PeerHandle peer) const EXCLUDES(mutex_);

 private:
  Result<PeerHandle> add_locked(const PeerName& name) REQUIRES(mutex_);
  Result<PeerHandle> new_handle(const PeerName& name) REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::uint64_t last_ GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<PeerName, std::uint64_t> by_name_ GUARDED_BY(mutex_);
  absl::flat_hash_map<std::uint64_t, PeerName> names_ GUARDED_BY(mutex_);
  absl::flat_hash_map<std::uint64_t, Status> failed_ GUARDED_BY(mutex_);
  std::deque<std::uint64_t> failed_order_ GUARDED_BY(mutex_);
};

}  // namespace mooncake::transfer
