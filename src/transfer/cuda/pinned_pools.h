// PinnedPools: shared pools of this engine that are pinned for its devices, which then copy to and from them without a
// detour. A pool is pinned whole when the first copy wants it, until it is freed. Thread-safe.
#pragma once

#include <map>

#include "base/mutex.h"
#include "base/time.h"
#include "transfer/cuda/cuda_driver.h"
#include "transfer/shm/pool_set.h"

namespace mooncake::transfer {

/// A pool that could not be pinned is not tried again before: it may have pinned gigabytes before it hit the limit.
inline constexpr Seconds kPinRetry{10};

class PinnedPools {
 public:
  PinnedPools(const CudaDriver& driver, CudaContext context, const PoolSet& pools)
      : driver_(driver), context_(context), pools_(pools) {}
  ~PinnedPools();

  /// Whether a device can copy to and from `memory` of the host straight, pinning its pool if need be: that blocks,
  /// about 0.1 s for a GB. False: it lies in no pool, or the pool cannot be pinned.
  bool pin(ConstByteSpan memory, Instant now) EXCLUDES(mutex_);
  /// Before the pool is unmapped.
  void unpin(ConstByteSpan pool) EXCLUDES(mutex_);

 private:
  struct Pin {
    void* memory = nullptr;  // null: it failed
    Instant retry_at{};
  };

  const CudaDriver& driver_;
  const CudaContext context_;
  const PoolSet& pools_;
  Mutex mutex_;
  std::map<std::uint64_t, Pin> pins_ GUARDED_BY(mutex_);  // by pool
};

}  // namespace mooncake::transfer
