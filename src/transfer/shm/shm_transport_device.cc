// How a ShmTransport serves memory of devices: by way of the staging ring. See shm_transport.h.
#include "transfer/shm/shm_transport.h"

namespace mooncake::transfer {

/// Waits for a slot, then copies into it.
void ShmTransport::pull_to_device(CopyJob job, std::byte* device) {
  const std::uint64_t id = job.id;
  const DeviceUser user{.peer = peer_handle_, .segment = job.segment};
  SegmentHold hold(context_.segments, job.segment);
  if (job.bytes > kStagingSlotBytes) return send_done(id, too_long_for_slot(job.bytes));
  pulls_[id].waiting =
      context_.cuda.get()->take(SlotUse::kLanding, user,
                                [this, alive = std::weak_ptr(alive_), job = std::move(job), hold = std::move(hold),
                                 device](Result<StagingSlot> slot) mutable {
                                  if (!alive.expired())
                                    on_pull_slot(std::move(job), std::move(hold), device, std::move(slot));
                                });
}

void ShmTransport::on_pull_slot(CopyJob job, SegmentHold hold, std::byte* device, Result<StagingSlot> slot) {
  const std::uint64_t id = job.id;
  const std::size_t bytes = job.bytes;
  if (!slot.ok()) return end_pull(id, {}, bytes, slot.status());
  pulls_.at(id).waiting = 0;
  job.to = slot->first(bytes).data();
  job.done = [this, id, bytes, segment = job.segment, hold = std::move(hold), device,
              slot = std::move(*slot)](const Status& status) mutable {
    if (!status.ok()) return end_pull(id, {}, bytes, status);
    landings_.land(kShmLandings, {.slot = std::move(slot), .spill = nullptr, .bytes = bytes}, std::move(hold), segment,
                   device, nullptr, [this, id, bytes](const Status& landed) { end_pull(id, {}, bytes, landed); });
    if (copies_.empty()) connection_->send_waiting();  // answers that waited for this one's do not wait for the device
  };
  copies_.push(std::move(job));
}

/// What a device copies already goes on to its end.
void ShmTransport::cancel_pull(std::uint64_t id) {
  const Status why(Code::kCancelled, "given up");
  const auto found = pulls_.find(id);
  if (found == pulls_.end() || found->second.waiting == 0) {
    copies_.cancel(id, why);
  } else if (context_.cuda.get()->cancel(found->second.waiting)) {
    end_pull(id, {}, 0, why);
  }
}

/// Waits for a slot and fetches the bytes; then they are granted.
void ShmTransport::grant_of_device(std::uint64_t id, const BulkRange& range, const std::byte* device) {
  SegmentHold hold(context_.segments, range.segment);
  if (range.length > kStagingSlotBytes) return send_done(id, too_long_for_slot(range.length));
  Grant& grant = grants_[id];
  grant.bytes = range.length;
  grant.fetching = context_.cuda.get()->fetch(
      SlotUse::kAnswering, {.peer = peer_handle_, .segment = range.segment}, {device, range.length},
      [this, alive = std::weak_ptr(alive_), id, hold = std::move(hold)](Result<StagingSlot> slot) {
        if (!alive.expired()) on_grant_slot(id, std::move(slot));
      });
}

/// From here on the segment may go: the bytes are in the slot.
void ShmTransport::on_grant_slot(std::uint64_t id, Result<StagingSlot> slot) {
  const auto found = grants_.find(id);
  if (found == grants_.end()) return;
  Grant& grant = found->second;
  grant.fetching = 0;
  const Result<ShmSource> source = slot.ok() ? source_of(slot->first(grant.bytes)) : Result<ShmSource>(slot.status());
  if (!source.ok()) {
    grants_.erase(found);
    return send_done(id, source.status(), slot.ok() ? kFlagOtherTransport : 0);
  }
  grant.slot = std::move(*slot);
  std::array<std::byte, kSourceBytes> small;
  encode_source(*source, small);
  send(FrameKind::kShmGranted, id, small);
}

}  // namespace mooncake::transfer
