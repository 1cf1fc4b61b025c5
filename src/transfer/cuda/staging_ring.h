// StagingRing: pinned memory of the host in slots, through which bytes pass on their way between a device and whatever
// cannot reach its memory: sockets, files, other processes. A slot belongs to one slice at a time.
//
// There are three sets of slots, since who waits for one of them may be what another's holder waits for. A slot of
// kAnswering is free when the peer has read; of kAsking, when the peer has landed or answered; of kLanding, when the
// rest of a frame has come, which waits for nobody here. With one set, two engines that write to each other's devices
// could wait for each other for ever. Nor does one peer that has stopped get them all. Loop thread only.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/functional/any_invocable.h>

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "net/event_loop.h"
#include "transfer/rail/slice_rule.h"
#include "transfer/transfer_engine.h"

namespace mooncake::transfer {

/// The longest slice there is. What peers of another make ask for beyond that is refused.
inline constexpr std::size_t kStagingSlotBytes = kSliceBytesMax;

/// Who holds a slot.
enum class SlotUse : std::uint8_t {
  kAsking,     ///< a slice of ours, between a device and another transport
  kLanding,    ///< what a peer writes to a device of ours
  kAnswering,  ///< what a peer reads from a device of ours
};
inline constexpr std::size_t kSlotUses = 3;
/// 16 slots of 1 to 2 MiB cover 1 ms at 25 GB/s, both ways: more than copy, wakeup and transport take together. The
/// serving side is paced by those who ask. 64 MiB are pinned in all, in engines that have registered device memory.
inline constexpr std::array<std::size_t, kSlotUses> kSlots = {16, 8, 8};
/// Of those, what one peer may hold: half, so that others go on when it stops.
inline constexpr std::size_t kSlotShare = 2;
/// Of those, what try_take() leaves to take(): who stops in the middle of a frame has taken its slot at once, and who
/// has all bytes of one waits for no peer. One is filled while the other is copied from.
inline constexpr std::array<std::size_t, kSlotUses> kSlotsKept = {0, 2, 0};
inline constexpr std::size_t kStagingBytesAll = kStagingSlotBytes * (kSlots[0] + kSlots[1] + kSlots[2]);

/// What a peer hears that asks for more at once: kUnsupported.
Status too_long_for_slot(std::uint64_t bytes);

class StagingRing;

/// A slot, given back when this is destroyed. It may outlive the ring.
class StagingSlot {
 public:
  StagingSlot() = default;
  StagingSlot(StagingSlot&&) noexcept = default;
  StagingSlot& operator=(StagingSlot&& other) noexcept;
  ~StagingSlot() { reset(); }

  [[nodiscard]] bool valid() const { return !memory_.empty(); }
  /// The first `bytes` of it.
  [[nodiscard]] ByteSpan first(std::size_t bytes) const { return memory_.first(bytes); }
  void reset();

 private:
  friend class StagingRing;
  StagingSlot(std::weak_ptr<StagingRing*> ring, SlotUse use, PeerHandle peer, ByteSpan memory)
      : ring_(std::move(ring)), use_(use), peer_(peer), memory_(memory) {}

  std::weak_ptr<StagingRing*> ring_;
  SlotUse use_ = SlotUse::kAsking;
  PeerHandle peer_;
  ByteSpan memory_;
};

class StagingRing {
 public:
  /// Runs once, on the loop: a slot, or why there will be none.
  using Done = absl::AnyInvocable<void(Result<StagingSlot>)>;

  /// `memory`: kStagingBytesAll that are pinned and outlive this.
  StagingRing(net::EventLoop& loop, ByteSpan memory);

  /// A slot for a slice of `peer`, unless others wait for one or none is free but those that are kept.
  std::optional<StagingSlot> try_take(SlotUse use, PeerHandle peer);
  /// The same when one is free, in order. `id` is for cancel(), `segment` for revoke(). `done` never runs inside this
  /// call.
  void take(std::uint64_t id, SlotUse use, PeerHandle peer, SegmentHandle segment, Done done);
  /// Takes out who waits; its `done` is destroyed. @return false if there is none.
  bool cancel(std::uint64_t id);
  /// Ends the waiting for all on that segment; their `done` runs inside this call.
  void revoke(SegmentHandle segment, const Status& why);
  /// The same for everybody.
  void close(const Status& why);

 private:
  friend class StagingSlot;
  struct Waiting {
    std::uint64_t id = 0;
    PeerHandle peer;
    SegmentHandle segment;
    Done done;
  };
  struct Set {
    std::size_t size = 0;
    std::vector<ByteSpan> free;
    std::deque<Waiting> waiting;
    absl::flat_hash_map<std::uint64_t, std::size_t> held;  // by peer
  };

  [[nodiscard]] static bool may_take(const Set& set, PeerHandle peer);
  StagingSlot slot(SlotUse use, PeerHandle peer);
  void give_back(SlotUse use, PeerHandle peer, ByteSpan memory);
  void serve_soon();
  void serve();
  template <typename Match>
  void end(Match match, const Status& why);

  net::EventLoop& loop_;
  std::array<Set, kSlotUses> sets_;
  bool serving_ = false;  // serve() is posted
  // Told to slots and posted tasks, which hold it weakly; null when the ring has gone.
  std::shared_ptr<StagingRing*> self_ = std::make_shared<StagingRing*>(this);
};

}  // namespace mooncake::transfer
