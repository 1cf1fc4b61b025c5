// MemTransport: bulk inside one engine: a memory copy, checked like any other access. Loop thread only.
#pragma once

#include "transfer/context.h"
#include "transfer/copy_queue.h"
#include "transfer/transport.h"

namespace mooncake::transfer {

class MemTransport final : public Transport {
 public:
  MemTransport(Context& context, SliceSink& sink) : context_(context), sink_(sink), copies_(*context.loop) {}

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
  CopyQueue copies_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // told to posted tasks
  absl::flat_hash_map<std::uint64_t, SegmentHandle> running_;
};

}  // namespace mooncake::transfer
