// CudaHost: what the transports of one engine share of its GPUs: copies, the staging ring, pinned pools. It exists from
// the first registration of device memory; an engine without has none, and pays nothing.
//
// Whatever is asked of it ends once: its `done` runs on the loop, never inside the call that asked, or is destroyed by
// cancel(). Loop thread only, but for open() and unpin().
#pragma once

#include <absl/functional/any_invocable.h>

#include <atomic>
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "transfer/cuda/copy_lanes.h"
#include "transfer/cuda/pinned_pools.h"
#include "transfer/cuda/staging_ring.h"
#include "transfer/shm/pool_set.h"

namespace mooncake::transfer {

/// For whom something is done.
struct DeviceUser {
  PeerHandle peer;             ///< whose share of slots it takes
  SegmentHandle segment = {};  ///< of this engine, that it is on for a peer; revoke() ends it
};

class CudaHost {
 public:
  using SlotDone = StagingRing::Done;
  using CopyDone = absl::AnyInvocable<void(Status)>;

  /// For memory of that device, and then of any. Blocks: makes a context if the process has none there, and pins the
  /// ring. @return kExhausted or kUnavailable with the driver's error. From any thread.
  static Result<std::unique_ptr<CudaHost>> open(const CudaDriver& driver, int device, net::EventLoop& loop,
                                                PoolSet& pools);
  /// close() it before, if it was ever used.
  ~CudaHost();
  CudaHost(const CudaHost&) = delete;
  CudaHost& operator=(const CudaHost&) = delete;

  /// A slot now, or nothing.
  std::optional<StagingSlot> try_take(SlotUse use, PeerHandle peer) { return ring_.try_take(use, peer); }
  /// A slot when one is free. @return what cancel() takes; not 0.
  std::uint64_t take(SlotUse use, const DeviceUser& user, SlotDone done);
  /// A slot when one is free, with the bytes of `device`, at most kStagingSlotBytes.
  std::uint64_t fetch(SlotUse use, const DeviceUser& user, ConstByteSpan device, SlotDone done);
  /// Copies the front of the slot to `device`, then frees the slot.
  std::uint64_t deliver(StagingSlot slot, const DeviceUser& user, ByteSpan device, CopyDone done);
  /// Copies straight; memory of the host must be pinned(), or of a slot.
  std::uint64_t copy(const DeviceUser& user, ByteSpan to, const std::byte* from, CopyDone done);
  /// Whether memory of the host is pinned, or could be now.
  bool pinned(ConstByteSpan memory) { return pins_.pin(memory, loop_.clock().now()); }

  /// Takes out what has not begun; its `done` is destroyed. @return false if a device is at it: `done` will run.
  bool cancel(std::uint64_t id) { return ring_.cancel(id) || lanes_.cancel(id); }
  /// Ends what has not begun on the segment, inside this call, with kStale.
  void revoke(SegmentHandle segment);
  /// Waits until the devices have let go of what they are at; that is reported later.
  void wait() { lanes_.wait(); }
  /// Waits so, and ends everything.
  void close();

  /// Before a pool is unmapped. From any thread.
  void unpin(ConstByteSpan pool) { pins_.unpin(pool); }

 private:
  CudaHost(const CudaDriver& driver, PrimaryContext context, net::EventLoop& loop, PoolSet& pools, ByteSpan staging);

  const CudaDriver& driver_;
  const PrimaryContext context_;  // for pinning
  net::EventLoop& loop_;
  PoolSet& pools_;
  const ByteSpan staging_;
  PinnedPools pins_;
  StagingRing ring_;
  CopyLanes lanes_;
  std::uint64_t last_id_ = 0;
};

/// A CudaHost when there is one. Thread-safe.
class LazyCudaHost {
 public:
  /// The host, made if there is none. @return kUnavailable without driver or GPU, or as CudaHost::open.
  Result<CudaHost*> open(int device, net::EventLoop& loop, PoolSet& pools) EXCLUDES(mutex_);
  /// Null before.
  [[nodiscard]] CudaHost* get() const { return ready_.load(std::memory_order_acquire); }

 private:
  Mutex mutex_;
  std::unique_ptr<CudaHost> host_ GUARDED_BY(mutex_);
  std::atomic<CudaHost*> ready_{nullptr};
};

}  // namespace mooncake::transfer
