// PoolSet: the memory of this engine that peers on the same host can map. A pool is one memfd, sealed against
// shrinking, so that a peer's copy can never fault; peers get a descriptor that is open for reading only.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "base/bytes.h"
#include "base/mutex.h"
#include "base/status.h"
#include "transfer/fd.h"

namespace mooncake::transfer {

/// A process has one or two pools; each costs every peer on the host a mapping.
inline constexpr std::size_t kPoolsMax = 64;

class PoolSet {
 public:
  /// Where a range lies inside a pool.
  struct Place {
    std::uint64_t pool = 0;
    std::uint64_t offset = 0;
    ByteSpan memory;  ///< all of the pool
  };

  PoolSet() = default;
  /// Unmaps everything.
  ~PoolSet();

  /// @return kInvalidArgument for 0 bytes, kExhausted when the system or kPoolsMax says no.
  Result<ByteSpan> allocate(std::size_t bytes) EXCLUDES(mutex_);
  /// Unmaps the pool that allocate() returned as `memory`. @return its id, or 0 if there is none.
  std::uint64_t free(ByteSpan memory) EXCLUDES(mutex_);

  /// The pool that holds all of `memory`, if one does.
  [[nodiscard]] std::optional<Place> find(ConstByteSpan memory) const EXCLUDES(mutex_);
  /// A descriptor for a peer, and the pool's size. @return kNotFound if it was freed, kExhausted without descriptors.
  Result<UniqueFd> open_for_peer(std::uint64_t pool, std::uint64_t& bytes) const EXCLUDES(mutex_);

 private:
  struct Pool {
    UniqueFd fd;
    ByteSpan memory;
  };

  mutable Mutex mutex_;
  std::map<std::uint64_t, Pool> pools_ GUARDED_BY(mutex_);
  std::uint64_t last_ GUARDED_BY(mutex_) = 0;
};

}  // namespace mooncake::transfer
