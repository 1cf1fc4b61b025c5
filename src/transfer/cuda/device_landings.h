// DeviceLandings: what one peer has written to memory of devices here, on its last stretch: from the host to the
// device.
//
// Bytes belong to the connection that they came on. When that is lost, nobody is told of them any more; and the peer
// may be told that nothing of it can reach the memory only when the copies that had begun are over. Loop thread only.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/functional/any_invocable.h>

#include <functional>
#include <memory>

#include "transfer/context.h"
#include "transfer/segment_hold.h"

namespace mooncake::transfer {

/// The link of what came by shm; those of TCP connections are never 0.
inline constexpr std::uint64_t kShmLandings = 0;

class DeviceLandings {
 public:
  using Done = absl::AnyInvocable<void(Status)>;
  /// Bytes of a peer that are here: in a slot, or in memory that cannot be pinned, as no slot was free.
  struct Arrived {
    StagingSlot slot = {};
    std::unique_ptr<std::byte[]> spill = {};
    std::size_t bytes = 0;
  };

  DeviceLandings(Context& context, PeerHandle peer) : context_(context), peer_(peer) {}
  ~DeviceLandings();

  /// Copies them to `device`, of a segment that is held by `hold` until the device has let go. `freed` runs when
  /// `spill` is not needed any more (it may be null), `done` at the end; neither after drop().
  void land(std::uint64_t link, Arrived arrived, SegmentHold hold, SegmentHandle segment, std::byte* device,
            std::function<void()> freed, Done done);
  /// The connection is over.
  void drop(std::uint64_t link);
  /// Nothing is on its way to a device; so nobody has to be told of its end.
  [[nodiscard]] bool idle() const { return landings_.empty(); }
  /// Whether a device still copies what came on a connection that was dropped.
  [[nodiscard]] bool busy(std::uint64_t link) const;
  /// Runs once that is over, unless this object goes first. The last for a link takes the place of those before.
  void when_quiet(std::uint64_t link, std::function<void()> then) { quiet_[link] = std::move(then); }

 private:
  struct Landing {
    std::uint64_t link = 0;
    bool dropped = false;
    std::uint64_t operation = 0;  ///< of the CudaHost
    std::function<void()> freed;
    Done done;
  };

  void deliver(std::uint64_t id, StagingSlot slot, std::size_t bytes, SegmentHold hold, SegmentHandle segment,
               std::byte* device);
  void free_spill(Landing& landing);
  void end(std::uint64_t id, const Status& status);

  Context& context_;
  const PeerHandle peer_;
  std::uint64_t last_ = 0;
  absl::flat_hash_map<std::uint64_t, Landing> landings_;
  absl::flat_hash_map<std::uint64_t, std::function<void()>> quiet_;  // by link
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);       // told to copies
};

}  // namespace mooncake::transfer
