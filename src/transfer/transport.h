// Transport: one way to move slices between this engine and one peer. A folder each: mem, tcp, shm, rdma, file,
// cuda.
//
// A slice is a piece of one request of a batch. The SliceQueue decides what is moved when; a transport moves it and
// says once how that went. All of it on the loop thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "base/time.h"
#include "transfer/frame.h"
#include "transfer/rail/slice_rule.h"
#include "transfer/stats/counters.h"
#include "transfer/topology/memory_location.h"

namespace mooncake::transfer {

/// Request id on the wire, unique in one peer's epoch.
enum class SliceId : std::uint64_t {};

struct Slice {
  TransferRequest::Op op = TransferRequest::Op::kRead;
  ByteSpan local;                       ///< not to be read or written here if it is a device's
  BulkRange remote;                     ///< of local.size() bytes
  MemoryKind kind = MemoryKind::kHost;  ///< of `local`
  MemoryLocation location = {};         ///< of the request's memory, also while `local` is a slot for it
};

/// What became of a slice that was given up.
enum class Abandoned : std::uint8_t {
  kForgotten,  ///< the local memory is free and no report will come
  kLetGo,      ///< the local memory is free; a report comes, so that both sides count the same bytes
  kHeld,       ///< the peer, or the kernel, may still touch the local memory: wait for the report
};

/// Gets the reports. Implemented by SliceQueue.
class SliceSink {
 public:
  virtual ~SliceSink() = default;
  /// The slice is taken by that path: before its report, and again if another path takes it. May be inside start().
  virtual void on_slice_path(SliceId id, PathCounters& path) = 0;
  /// The slice is over. Ok: the bytes are in place, at the target visible to its owner.
  virtual void on_slice_done(SliceId id, const Status& status) = 0;
  /// The local memory of a slice that was given up, and held, is free; its report follows.
  virtual void on_slice_let_go(SliceId id) = 0;
  /// The slice cannot go this way (nothing has moved); it wants another transport.
  virtual void on_slice_refused(SliceId id) = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;
  /// "mem", "shm", "rdma", "tcp", "file" or "cuda": a literal.
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// Whether it moves the slice's local memory itself. Else the SliceQueue stages it: it is given memory of the host.
  [[nodiscard]] virtual bool reaches(const Slice& slice) { return slice.kind == MemoryKind::kHost; }
  /// How many bytes the next slice takes of a request of which `rest` is left: at least one, at most kSliceBytesMax.
  /// What is started later may be of another length: a slice that another transport could not carry, or one that was
  /// staged meanwhile.
  [[nodiscard]] virtual std::size_t cut(const Slice& rest, Instant /*now*/) { return cut_on_host(rest.local.size()); }
  /// Begins to move; exactly one report follows, never inside this call, unless the slice is forgotten.
  virtual void start(SliceId id, const Slice& slice) = 0;
  /// Gives up a slice that was started and has not been reported.
  virtual Abandoned abandon(SliceId id, const Slice& slice) = 0;
};

}  // namespace mooncake::transfer
