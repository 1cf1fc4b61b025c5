#include "transfer/cuda/staging_ring.h"

#include <fmt/format.h>

#include <algorithm>

namespace mooncake::transfer {

Status too_long_for_slot(std::uint64_t bytes) {
  return {Code::kUnsupported,
          fmt::format("{} bytes to or from a device at once: ask for at most {} in a piece", bytes, kStagingSlotBytes)};
}

StagingSlot& StagingSlot::operator=(StagingSlot&& other) noexcept {
  if (this == &other) return *this;
  reset();
  ring_ = std::move(other.ring_);
  use_ = other.use_;
  peer_ = other.peer_;
  memory_ = std::exchange(other.memory_, {});
  return *this;
}

void StagingSlot::reset() {
  const ByteSpan memory = std::exchange(memory_, {});
  if (memory.empty()) return;
  if (const auto ring = ring_.lock()) (*ring)->give_back(use_, peer_, memory);
}

StagingRing::StagingRing(net::EventLoop& loop, ByteSpan memory) : loop_(loop) {
  CHECK(memory.size() == kStagingBytesAll);
  for (std::size_t use = 0; use < kSlotUses; ++use) {
    Set& set = sets_[use];
    set.size = kSlots[use];
    for (std::size_t i = 0; i < set.size; ++i) {
      set.free.push_back(memory.first(kStagingSlotBytes));
      memory = memory.subspan(kStagingSlotBytes);
    }
  }
}

bool StagingRing::may_take(const Set& set, PeerHandle peer) {
  const auto held = set.held.find(peer.value);
  return !set.free.empty() && (held == set.held.end() || held->second < set.size / kSlotShare);
}

StagingSlot StagingRing::slot(SlotUse use, PeerHandle peer) {
  Set& set = sets_[static_cast<std::size_t>(use)];
  const ByteSpan memory = set.free.back();
  set.free.pop_back();
  ++set.held[peer.value];
  return StagingSlot(self_, use, peer, memory);
}

void StagingRing::give_back(SlotUse use, PeerHandle peer, ByteSpan memory) {
  Set& set = sets_[static_cast<std::size_t>(use)];
  set.free.push_back(memory);
  const auto held = set.held.find(peer.value);
  if (--held->second == 0) set.held.erase(held);
  if (!set.waiting.empty()) serve_soon();
}

std::optional<StagingSlot> StagingRing::try_take(SlotUse use, PeerHandle peer) {
  const Set& set = sets_[static_cast<std::size_t>(use)];
  const bool left = set.free.size() > kSlotsKept[static_cast<std::size_t>(use)];
  if (!left || !set.waiting.empty() || !may_take(set, peer)) return std::nullopt;
  return slot(use, peer);
}

void StagingRing::take(std::uint64_t id, SlotUse use, PeerHandle peer, SegmentHandle segment, Done done) {
  sets_[static_cast<std::size_t>(use)].waiting.push_back(
      {.id = id, .peer = peer, .segment = segment, .done = std::move(done)});
  serve_soon();
}

void StagingRing::serve_soon() {
  if (std::exchange(serving_, true)) return;
  loop_.post([self = std::weak_ptr(self_)] {
    if (const auto ring = self.lock()) (*ring)->serve();
  });
}

/// Who has had its share lets others pass.
void StagingRing::serve() {
  serving_ = false;
  const std::weak_ptr alive(self_);
  for (std::size_t use = 0; use < kSlotUses; ++use) {
    Set& set = sets_[use];
    for (;;) {
      const auto next = std::ranges::find_if(set.waiting, [&](const Waiting& w) { return may_take(set, w.peer); });
      if (next == set.waiting.end()) break;
      Done done = std::move(next->done);
      StagingSlot given = slot(static_cast<SlotUse>(use), next->peer);
      set.waiting.erase(next);
      done(std::move(given));
      if (alive.expired()) return;
    }
  }
}

bool StagingRing::cancel(std::uint64_t id) {
  for (Set& set : sets_) {
    const auto found = std::ranges::find(set.waiting, id, &Waiting::id);
    if (found == set.waiting.end()) continue;
    set.waiting.erase(found);
    return true;
  }
  return false;
}

template <typename Match>
void StagingRing::end(Match match, const Status& why) {
  for (Set& set : sets_) {
    for (;;) {
      const auto found = std::ranges::find_if(set.waiting, match);
      if (found == set.waiting.end()) break;
      Done done = std::move(found->done);
      set.waiting.erase(found);
      done(why);
    }
  }
}

void StagingRing::revoke(SegmentHandle segment, const Status& why) {
  end([&](const Waiting& waiting) { return waiting.segment == segment; }, why);
}

void StagingRing::close(const Status& why) {
  end([](const Waiting&) { return true; }, why);
}

}  // namespace mooncake::transfer
