// Context: what the parts of one engine share. Owned by the engine; outlives all of them.
#pragma once

#include <memory>

#include "base/executor.h"
#include "net/event_loop.h"
#include "transfer/auth/capability.h"
#include "transfer/auth/credentials.h"
#include "transfer/copy_crew.h"
#include "transfer/cuda/cuda_host.h"
#include "transfer/cuda/device_pointer.h"
#include "transfer/frame.h"
#include "transfer/handler_table.h"
#include "transfer/rail/nearness.h"
#include "transfer/rdma/rdma_host.h"
#include "transfer/segment_table.h"
#include "transfer/shm/pool_set.h"
#include "transfer/stats/stats_table.h"
#include "transfer/transfer_engine.h"

namespace mooncake::transfer {

struct Context {
  /// `executor_in` null: the loop runs the user's callbacks.
  Context(TransferConfig config_in, Executor* executor_in, std::uint64_t seed)
      : config(std::move(config_in)),
        loop(net::EventLoop::create("transfer-io")),
        executor(executor_in != nullptr ? *executor_in : *loop),
        segments(seed),
        handlers(executor) {}

  /// Tells the trace, if there is one. `make` builds the event; the time is filled in. Loop thread only.
  template <typename Make>
  void tell(Make make) {
    if (trace == nullptr) return;
    TraceEvent event = make();
    event.at = loop->clock().now();
    trace->on_event(event);
  }

  /// True on the loop if that is also where the user's callbacks belong: then they need not be posted.
  [[nodiscard]] bool callbacks_here() const { return &executor == loop.get() && loop->is_current(); }

  const TransferConfig config;
  const std::unique_ptr<net::EventLoop> loop;  ///< owns all sockets, peers and operations of the engine
  Executor& executor;                          ///< runs the user's callbacks
  Credentials credentials;                     ///< complete before the first connection
  SegmentTable segments;
  CapabilityMint capabilities;
  StatsTables stats;
  TransferTrace* trace = nullptr;  ///< of the user, who may have none; loop thread only
  HandlerTable handlers;
  PoolSet pools;
  CopyCrew copy_crew{CopyCrew::size_here()};  ///< of all peers; loop thread only
  LazyCudaHost cuda;
  std::unique_ptr<RdmaHost> rdma;      ///< null: no RDMA; set before the loop starts, used on it
  std::unique_ptr<Nearness> nearness;  ///< null: all rails are equally near; as rdma
  Hello hello;                         ///< ours; complete before the first connection

  /// For RailWeights.
  [[nodiscard]] Distances* distances() const { return nearness ? nearness->distances() : nullptr; }

  /// TransferEngine::register_memory. From any thread.
  Result<SegmentHandle> register_memory(ByteSpan memory, MemoryKind kind, Access access) {
    if (kind == MemoryKind::kCuda) MC_RETURN_IF_ERROR(load_cuda_driver().status());
    MC_RETURN_IF_ERROR(check_kind(memory, kind));
    if (kind == MemoryKind::kCuda && !memory.empty()) {
      MC_RETURN_IF_ERROR(cuda.open(*device_of(*find_cuda_driver(), memory.data()), *loop, pools).status());
    }
    return segments.add(memory, kind, access);
  }

  /// TransferEngine::grant. From any thread.
  Result<Capability> grant(const BulkRange& range, Access access, PeerHandle to) {
    if (access == Access::kNone || range.length == 0 || to == PeerHandle{}) {
      return Status(Code::kInvalidArgument, "a capability gives some peer some right to some bytes");
    }
    MC_RETURN_IF_ERROR(segments.acquire(range, Access::kNone).status());
    segments.release(range.segment);
    return capabilities.make(range, access, to);
  }

  /// SegmentTable::acquire for a peer: by its capability if it shows one, else by the segment's own rights.
  Result<HeldMemory> acquire(const BulkRange& range, Access needed, PeerHandle by) {
    if (!range.capability.has_value()) return segments.acquire(range, needed);
    MC_RETURN_IF_ERROR(capabilities.check(range, needed, by));
    return segments.acquire(range, Access::kNone);
  }
};

}  // namespace mooncake::transfer
