#include "transfer/cuda/cuda_transport.h"

#include <utility>

namespace mooncake::transfer {
namespace {

bool is_read(const Slice& slice) { return slice.op == TransferRequest::Op::kRead; }

}  // namespace

void CudaTransport::start(SliceId slice_id, const Slice& slice) {
  sink_.on_slice_path(slice_id, counters_[0]);
  const auto id = static_cast<std::uint64_t>(slice_id);
  const bool read = is_read(slice);
  const Result<HeldMemory> remote = context_.acquire(slice.remote, read ? Access::kRead : Access::kWrite, self_);
  if (!remote.ok()) {
    context_.loop->post([this, slice_id, status = remote.status(), alive = std::weak_ptr(alive_)] {
      if (!alive.expired()) sink_.on_slice_done(slice_id, status);
    });
    return;
  }
  const ByteSpan there(remote->at, slice.local.size());
  Move move{.hold = SegmentHold(context_.segments, slice.remote.segment),
            .range = slice.remote,
            .read = read,
            .to = read ? slice.local : there,
            .from = read ? there : slice.local};
  const bool to_device = (read ? slice.kind : remote->kind) == MemoryKind::kCuda;
  const bool from_device = (read ? remote->kind : slice.kind) == MemoryKind::kCuda;
  begin(id, moves_.emplace(id, std::move(move)).first->second, to_device, from_device);
}

void CudaTransport::begin(std::uint64_t id, Move& move, bool to_device, bool from_device) {
  CudaHost& cuda = *context_.cuda.get();
  const DeviceUser user{.peer = self_, .segment = move.range.segment};
  if ((to_device && from_device) || cuda.pinned(to_device ? move.from : ConstByteSpan(move.to))) {
    move.device_copy =
        cuda.copy(user, move.to, move.from.data(), [this, id](const Status& status) { on_copied(id, status); });
  } else if (to_device) {
    move.device_copy = cuda.take(SlotUse::kAsking, user, [this, id](Result<StagingSlot> slot) {
      on_slot(id, std::move(slot), &CudaTransport::from_host);
    });
  } else {
    move.device_copy = cuda.fetch(SlotUse::kAsking, user, move.from, [this, id](Result<StagingSlot> slot) {
      on_slot(id, std::move(slot), &CudaTransport::to_host);
    });
  }
}

void CudaTransport::on_copied(std::uint64_t id, const Status& status) {
  if (moves_.contains(id)) finish(id, status);
}

void CudaTransport::on_slot(std::uint64_t id, Result<StagingSlot> slot, Next next) {
  const auto found = moves_.find(id);
  if (found == moves_.end()) return;
  found->second.device_copy = 0;
  if (!slot.ok()) return finish(id, slot.status());
  if (found->second.given_up) return finish(id, {Code::kCancelled, "given up"});
  found->second.slot = std::move(*slot);
  (this->*next)(id, found->second);
}

void CudaTransport::from_host(std::uint64_t id, Move& move) {
  copy_on_host(id, move, move.slot.first(move.to.size()).data(), move.from.data(), [this, id] {
    Move& filled = moves_.at(id);
    const DeviceUser user{.peer = self_, .segment = filled.range.segment};
    filled.device_copy = context_.cuda.get()->deliver(std::move(filled.slot), user, filled.to,
                                                      [this, id](const Status& status) { on_copied(id, status); });
  });
}

void CudaTransport::to_host(std::uint64_t id, Move& move) {
  copy_on_host(id, move, move.to.data(), move.slot.first(move.to.size()).data(), [this, id] { finish(id, {}); });
}

void CudaTransport::copy_on_host(std::uint64_t id, const Move& move, std::byte* to, const std::byte* from,
                                 std::function<void()> then) {
  host_copies_.push(CopyJob{.id = id,
                            .segment = move.range.segment,
                            .to = to,
                            .from = from,
                            .bytes = move.to.size(),
                            .pid = 0,
                            .pool = nullptr,
                            .done = [this, id, then = std::move(then)](const Status& status) {
                              if (!status.ok()) return finish(id, status);
                              then();
                            }});
}

/// The sink counts this engine as the asking side; here it is the other side too.
void CudaTransport::finish(std::uint64_t id, const Status& status) {
  const auto found = moves_.find(id);
  const std::size_t bytes = found->second.to.size();
  const bool read = found->second.read;
  moves_.erase(found);
  if (status.ok()) counters_[0].served(read, bytes);
  sink_.on_slice_done(SliceId{id}, status);
}

Abandoned CudaTransport::abandon(SliceId slice_id, const Slice& /*slice*/) {
  const auto id = static_cast<std::uint64_t>(slice_id);
  const auto found = moves_.find(id);
  if (found == moves_.end()) return Abandoned::kForgotten;  // was refused; its report finds nobody
  Move& move = found->second;
  if (move.device_copy == 0) {
    host_copies_.forget(id);
  } else if (!context_.cuda.get()->cancel(move.device_copy)) {
    move.given_up = true;
    return Abandoned::kHeld;
  }
  moves_.erase(found);
  return Abandoned::kForgotten;
}

void CudaTransport::revoke(SegmentHandle segment) {
  host_copies_.revoke(segment, {Code::kStale, "the segment was unregistered during the copy"});
}

void CudaTransport::close() {
  if (CudaHost* cuda = context_.cuda.get()) cuda->wait();
  host_copies_.clear();
  moves_.clear();
}

}  // namespace mooncake::transfer
