// How a SliceQueue moves memory of devices over transports that do not reach it. See slice_queue.h.
#include "transfer/slice_queue.h"

namespace mooncake::transfer {

/// `go` with the outcome of a copy if the slice is still here; else its batch has failed meanwhile, and ends with the
/// last of its copies.
template <typename Go>
auto SliceQueue::when_copied(SliceId id, const BatchPtr& batch, Go go) {
  return [this, alive = std::weak_ptr(alive_), &context = context_, id, batch, go](auto outcome) mutable {
    if (!alive.expired() && in_flight_.contains(static_cast<std::uint64_t>(id))) return go(std::move(outcome));
    if (--batch->in_flight == 0) end_batch(context, batch);
  };
}

void SliceQueue::stage(SliceId id, Entry entry) {
  CudaHost& cuda = *context_.cuda.get();
  entry.transport = nullptr;
  entry.device = entry.slice.local;
  auto done = when_copied(id, entry.batch, [this, id](Result<StagingSlot> slot) { on_staged(id, std::move(slot)); });
  const DeviceUser user{.peer = entry.batch->peer};
  entry.staging = entry.slice.op == TransferRequest::Op::kWrite
                      ? cuda.fetch(SlotUse::kAsking, user, entry.device, std::move(done))
                      : cuda.take(SlotUse::kAsking, user, std::move(done));
  in_flight_.insert_or_assign(static_cast<std::uint64_t>(id), std::move(entry));
}

void SliceQueue::on_staged(SliceId id, Result<StagingSlot> slot) {
  Entry& waited = in_flight_.at(static_cast<std::uint64_t>(id));
  waited.staging = 0;
  if (!slot.ok()) return end_slice(id, slot.status());
  if (!wanted(id)) return end_slice(id, {Code::kCancelled, "the batch has ended"});
  Entry entry = std::move(waited);
  entry.slot = std::move(*slot);
  entry.slice.local = entry.slot.first(entry.device.size());
  entry.slice.kind = MemoryKind::kHost;
  entry.transport = hooks_.choose(entry.slice, nullptr);
  start(id, std::move(entry));
}

/// A read has come as far as the slot.
void SliceQueue::land(SliceId id, Entry& entry) {
  entry.transport = nullptr;
  entry.staging = context_.cuda.get()->deliver(
      std::move(entry.slot), {.peer = entry.batch->peer}, entry.device,
      when_copied(id, entry.batch, [this, id](const Status& status) { end_slice(id, status); }));
}

/// @return false if a device is at it: then its memory is held until it has reported.
bool SliceQueue::stop_staging(const Entry& entry) { return context_.cuda.get()->cancel(entry.staging); }

}  // namespace mooncake::transfer
