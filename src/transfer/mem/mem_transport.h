// MemTransport: bulk inside one engine: a memory copy, checked like any other access. Loop thread only.
#pragma once

#include "transfer/context.h"
#include "transfer/copy_queue.h"
#include "transfer/stats/rail_counters.h"
#include "transfer/transport.h"

namespace mooncake::transfer {

class MemTransport final : public Transport {
 public:
  /// `self` is this engine as a peer of its own.
  MemTransport(Context& context, SliceSink& sink, PeerHandle self)
      : context_(context),
        sink_(sink),
        self_(self),
        copies_(*context.loop, context.copy_crew),
        counters_(context.stats.paths, context.config.node_name, "mem", {""}) {}

  [[nodiscard]] std::string_view name() const override { return "mem"; }
  void start(SliceId id, const Slice& slice) override;
  Abandoned abandon(SliceId id, const Slice& slice) override;
  /// Ends copies into or out of the segment.
  void revoke(SegmentHandle segment);
  /// Ends all copies; none is reported.
  void close();

 private:
  void finish(SliceId id, const BulkRange& range, bool read, const Status& status);

  Context& context_;
  SliceSink& sink_;
  const PeerHandle self_;
  CopyQueue copies_;
  RailCounters counters_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // told to posted tasks
  absl::flat_hash_map<std::uint64_t, SegmentHandle> running_;
};

}  // namespace mooncake::transfer
