#include "transfer/mem/mem_transport.h"

namespace mooncake::transfer {

void MemTransport::start(SliceId id, const Slice& slice) {
  sink_.on_slice_path(id, counters_[0]);
  const bool read = slice.op == TransferRequest::Op::kRead;
  const Result<HeldMemory> remote = context_.acquire(slice.remote, read ? Access::kRead : Access::kWrite, self_);
  if (!remote.ok()) {
    context_.loop->post([this, id, status = remote.status(), alive = std::weak_ptr(alive_)] {
      if (!alive.expired()) sink_.on_slice_done(id, status);
    });
    return;
  }
  CHECK(remote->kind == MemoryKind::kHost && slice.kind == MemoryKind::kHost);
  running_[static_cast<std::uint64_t>(id)] = slice.remote.segment;
  copies_.push(CopyJob{
      .id = static_cast<std::uint64_t>(id),
      .segment = slice.remote.segment,
      .to = read ? slice.local.data() : remote->at,
      .from = read ? remote->at : slice.local.data(),
      .bytes = slice.local.size(),
      .pid = 0,
      .pool = nullptr,
      .done = [this, id, range = slice.remote, read](const Status& status) { finish(id, range, read, status); }});
}

/// The sink counts this engine as the asking side; here it is the other side too.
void MemTransport::finish(SliceId id, const BulkRange& range, bool read, const Status& status) {
  running_.erase(static_cast<std::uint64_t>(id));
  context_.segments.release(range.segment);
  if (status.ok()) counters_[0].served(read, range.length);
  sink_.on_slice_done(id, status);
}

Abandoned MemTransport::abandon(SliceId id, const Slice& /*slice*/) {
  const auto found = running_.find(static_cast<std::uint64_t>(id));
  if (found != running_.end()) {
    copies_.forget(found->first);
    context_.segments.release(found->second);
    running_.erase(found);
  }
  return Abandoned::kForgotten;
}

void MemTransport::revoke(SegmentHandle segment) {
  copies_.revoke(segment, {Code::kStale, "the segment was unregistered during the copy"});
}

void MemTransport::close() {
  copies_.clear();
  for (const auto& [id, segment] : running_) context_.segments.release(segment);
  running_.clear();
}

}  // namespace mooncake::transfer
