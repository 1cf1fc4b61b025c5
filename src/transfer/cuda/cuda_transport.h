// CudaTransport: bulk inside one engine with a device at one end or both. Pinned memory of the host is copied straight;
// other memory through a slot of the staging ring, as copying from it would block. Loop thread only.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <functional>
#include <memory>

#include "transfer/context.h"
#include "transfer/copy_queue.h"
#include "transfer/segment_hold.h"
#include "transfer/stats/rail_counters.h"
#include "transfer/transport.h"

namespace mooncake::transfer {

class CudaTransport final : public Transport {
 public:
  /// `self` is this engine as a peer of its own.
  CudaTransport(Context& context, SliceSink& sink, PeerHandle self)
      : context_(context),
        sink_(sink),
        self_(self),
        host_copies_(*context.loop, context.copy_crew),
        counters_(context.stats.paths, context.config.node_name, "cuda", {""}) {}

  [[nodiscard]] std::string_view name() const override { return "cuda"; }
  [[nodiscard]] bool reaches(const Slice& /*slice*/) override { return true; }
  void start(SliceId id, const Slice& slice) override;
  Abandoned abandon(SliceId id, const Slice& slice) override;
  /// Ends what goes through the segment, now or when the device has let go.
  void revoke(SegmentHandle segment);
  /// Waits until the devices have let go of all memory. Nothing is reported any more.
  void close();

 private:
  struct Move {
    SegmentHold hold;
    BulkRange range;
    bool read = false;
    ByteSpan to;
    ConstByteSpan from;
    std::uint64_t device_copy = 0;  ///< what the CudaHost does for it; 0: the host copies between memory and slot
    StagingSlot slot = {};
    bool given_up = false;
  };
  using Next = void (CudaTransport::*)(std::uint64_t id, Move& move);

  void begin(std::uint64_t id, Move& move, bool to_device, bool from_device);
  void on_slot(std::uint64_t id, Result<StagingSlot> slot, Next next);
  void from_host(std::uint64_t id, Move& move);
  void to_host(std::uint64_t id, Move& move);
  void copy_on_host(std::uint64_t id, const Move& move, std::byte* to, const std::byte* from,
                    std::function<void()> then);
  void on_copied(std::uint64_t id, const Status& status);
  void finish(std::uint64_t id, const Status& status);

  Context& context_;
  SliceSink& sink_;
  const PeerHandle self_;
  CopyQueue host_copies_;
  absl::flat_hash_map<std::uint64_t, Move> moves_;
  RailCounters counters_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // told to posted tasks
};

}  // namespace mooncake::transfer
