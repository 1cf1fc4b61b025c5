// SliceQueue: the batches towards one peer. Cuts requests into slices, keeps a window of them in flight, and ends each
// batch once, when no medium touches its memory any more.
//
// The transport that carries a request says how long the next slice of it is (Transport::cut). What could not go that
// way then goes another as it is.
//
// A slice of device memory that its transport does not reach is staged: it waits for a slot of the staging ring
// (cuda/), and the transport is given that slot for local memory.
//
//   write   slot -> copy from the device -> the transport
//   read    slot -> the transport        -> copy to the device
//
// While one slice is copied others are on their way. Loop thread only.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "transfer/batch.h"
#include "transfer/context.h"
#include "transfer/transport.h"

namespace mooncake::transfer {

/// The window of one peer: 64 slices of 64 KiB cover 4 ms at 1 GB/s, 64 MiB of large ones more than any socket buffer.
inline constexpr std::size_t kSlicesInFlightMax = 64;
inline constexpr std::size_t kSliceBytesInFlightMax = 64u << 20;
/// Batches that wait or run towards one peer; at the limit submit() fails with kExhausted.
inline constexpr std::size_t kBatchesMax = 1024;

class SliceQueue final : public SliceSink {
 public:
  using BatchPtr = std::shared_ptr<Batch::State>;  // shared with the user's Batch and with its timer

  struct Hooks {
    /// The transport for a slice; `refused` is one that could not carry it, or null.
    std::function<Transport*(const Slice& slice, const Transport* refused)> choose;
    /// Sends the batch's notify and calls notify_done() when it has been delivered.
    std::function<void(const BatchPtr&)> notify;
    /// Forgets a notify in flight.
    std::function<void(std::uint64_t)> forget_notify;
    std::function<std::uint64_t()> next_id;
    /// For statistics: the peer's name, which may change until open(), and the transport that bulk takes now (for a
    /// batch that took none).
    std::function<std::string_view()> peer_name;
    std::function<std::string_view()> transport_name;
  };

  /// `peer` is whom the batches are for.
  SliceQueue(Context& context, PeerHandle peer, Hooks hooks)
      : context_(context), peer_(peer), hooks_(std::move(hooks)) {}

  void submit(BatchPtr batch);
  /// Until then batches wait (for the handshake).
  void open() {
    if (open_) return;
    open_ = true;
    batch_counters_.clear();  // they were of the name before
    pump(now());
  }
  /// Ends a batch early with `why`. The callback comes when its memory is free.
  void stop(const BatchPtr& batch, const Status& why);
  /// Ends everything with `why`; the transports have let go of all memory already. A batch for which a device is
  /// copying ends with that, also when this object is gone by then.
  void fail_all(const Status& why);
  void notify_done(const BatchPtr& batch, const Status& status);

  void on_slice_path(SliceId id, PathCounters& path) override;
  void on_slice_done(SliceId id, const Status& status) override;
  void on_slice_let_go(SliceId id) override;
  void on_slice_refused(SliceId id) override;

  /// Where the bytes of a read slice go; empty if it is unknown, was given up, or is no transport's now.
  [[nodiscard]] ByteSpan landing(SliceId id) const;
  /// The slice that `transport` has an answer to, or null if it is over or no transport's now. @return kCorrupt if
  /// another transport has it: one must not report what another still moves.
  [[nodiscard]] Result<const Slice*> find(SliceId id, const Transport& transport) const;
  /// True if the slice's batch still needs it.
  [[nodiscard]] bool wanted(SliceId id) const;
  /// The slices of a transport that is over, and that cannot touch memory any more, go another way.
  void begin_again(const Transport& lost);

 private:
  struct Entry {
    Slice slice;
    BatchPtr batch;                  // null once given up and let go
    Transport* transport = nullptr;  // null while it is staged
    PathCounters* path = nullptr;    // null until the transport has said
    Instant begun{};                 // on that path
    // Of a slice that is staged; `slice` names the slot then.
    ByteSpan device = {};
    StagingSlot slot = {};
    std::uint64_t staging = 0;  // what the CudaHost does for it now
  };

  /// Starts what the window has room for, if the queue is open.
  void pump(Instant now);
  [[nodiscard]] Instant now() const { return context_.loop->clock().now(); }
  [[nodiscard]] bool must_wait(const TransferRequest& request) const;
  void start_next(const BatchPtr& batch, Instant now);
  void start(SliceId id, Entry entry);
  void settle(const BatchPtr& batch);
  void finish(const BatchPtr& batch);
  enum class Outcome : std::uint8_t { kDone, kFailed, kGivenUp, kGoesOn };
  void leave_path(std::uint64_t id, Entry& entry, Outcome outcome, Code code, Instant now);
  BatchCounters& batch_counters(std::string_view transport);
  [[nodiscard]] TraceEvent slice_event(TraceEvent::Kind kind, std::uint64_t id, const Entry& entry,
                                       const PathCounters& path) const;
  void tell_batch(TraceEvent::Kind kind, const Batch::State& batch, Nanos took) const;
  void release_window(const Entry& entry);
  void give_up(std::uint64_t id);
  void let_go(Entry& entry);
  void end_slice(SliceId id, const Status& status);
  static void end_batch(Context& context, const BatchPtr& batch);

  // slice_queue_staging.cc
  void stage(SliceId id, Entry entry);
  void on_staged(SliceId id, Result<StagingSlot> slot);
  void land(SliceId id, Entry& entry);
  bool stop_staging(const Entry& entry);
  template <typename Go>
  auto when_copied(SliceId id, const BatchPtr& batch, Go go);

  Context& context_;
  const PeerHandle peer_;
  Hooks hooks_;
  std::uint64_t batches_ = 0;                                                  // so far
  std::vector<std::pair<std::string_view, BatchCounters*>> batch_counters_{};  // by transport, once used
  bool open_ = false;
  std::optional<Instant> pumping_{};  // since when, inside pump(): reading the clock costs as much as counting a slice
  std::deque<BatchPtr> waiting_;      // not wholly started, in order
  absl::flat_hash_map<std::uint64_t, Entry> in_flight_;
  std::vector<BatchPtr> running_;  // every batch that is not finished
  std::size_t slices_ = 0;         // in flight and not given up
  std::size_t slice_bytes_ = 0;
  std::size_t given_up_writes_ = 0;                             // in flight, and no batch's any more
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // told to copies of devices
};

}  // namespace mooncake::transfer
