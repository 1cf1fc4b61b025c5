#include "transfer/cuda/device_landings.h"

#include <algorithm>
#include <cstring>

namespace mooncake::transfer {

DeviceLandings::~DeviceLandings() {
  for (const auto& [id, landing] : landings_) {
    static_cast<void>(context_.cuda.get()->cancel(landing.operation));  // else it ends by itself, and lets go
  }
}

void DeviceLandings::land(std::uint64_t link, Arrived arrived, SegmentHold hold, SegmentHandle segment,
                          std::byte* device, std::function<void()> freed, Done done) {
  const std::uint64_t id = ++last_;
  Landing& landing = landings_[id];
  landing = {.link = link, .dropped = false, .operation = 0, .freed = std::move(freed), .done = std::move(done)};
  if (arrived.slot.valid()) {
    return deliver(id, std::move(arrived.slot), arrived.bytes, std::move(hold), segment, device);
  }
  landing.operation = context_.cuda.get()->take(
      SlotUse::kLanding, {.peer = peer_, .segment = segment},
      [this, alive = std::weak_ptr(alive_), id, spill = std::move(arrived.spill), bytes = arrived.bytes,
       hold = std::move(hold), segment, device](Result<StagingSlot> slot) mutable {
        if (alive.expired() || !landings_.contains(id)) return;
        free_spill(landings_.at(id));
        if (!slot.ok()) return end(id, slot.status());
        std::memcpy(slot->first(bytes).data(), spill.get(), bytes);
        deliver(id, std::move(*slot), bytes, std::move(hold), segment, device);
      });
}

void DeviceLandings::free_spill(Landing& landing) {
  if (const auto freed = std::exchange(landing.freed, nullptr)) freed();
}

void DeviceLandings::deliver(std::uint64_t id, StagingSlot slot, std::size_t bytes, SegmentHold hold,
                             SegmentHandle segment, std::byte* device) {
  landings_.at(id).operation = context_.cuda.get()->deliver(
      std::move(slot), {.peer = peer_, .segment = segment}, {device, bytes},
      [this, alive = std::weak_ptr(alive_), id, hold = std::move(hold)](const Status& status) {
        if (!alive.expired()) end(id, status);
      });
}

void DeviceLandings::end(std::uint64_t id, const Status& status) {
  const auto found = landings_.find(id);
  Landing landing = std::move(found->second);
  landings_.erase(found);
  if (!landing.dropped) return landing.done(status);
  const auto waiting = quiet_.find(landing.link);
  if (waiting == quiet_.end() || busy(landing.link)) return;
  const auto then = std::move(waiting->second);
  quiet_.erase(waiting);
  then();
}

void DeviceLandings::drop(std::uint64_t link) {
  absl::erase_if(landings_, [&](auto& entry) {
    Landing& landing = entry.second;
    if (landing.link != link) return false;
    landing.dropped = true;
    landing.freed = nullptr;
    landing.done = nullptr;
    return context_.cuda.get()->cancel(landing.operation);
  });
}

bool DeviceLandings::busy(std::uint64_t link) const {
  return std::ranges::any_of(landings_,
                             [&](const auto& entry) { return entry.second.link == link && entry.second.dropped; });
}

}  // namespace mooncake::transfer
