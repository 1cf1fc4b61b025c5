// ShmTransport: bulk between processes of one host, memory to memory. The receiver copies, so that it alone decides
// what is written into its memory and when:
//
//   write   ours: pull(range, source)  -> theirs: copies, then done
//   read    ours: grant(range)         -> theirs: holds the range, granted(source); ours: copies, then release
//
// A source is a place in a shared pool of the side that has the bytes, or, where the kernel lets the other side read it
// (process_vm_readv), an address. The frames travel on a unix socket, which also passes each pool's descriptor, once,
// before it is first named. The kernel, not the peer, says which process is at the other end of it.
//
// What a peer wants of a device here passes through the staging ring (cuda/), whose memory is a shared pool: a pull
// copies into a slot, which is then copied to the device; a grant names a slot that holds the device's bytes already.
//
// An owner that ends the epoch closes the socket before it lets go of what it has granted. So a reader that has copied
// looks whether the socket still stands before it says that the read is done: if it does, the bytes are those it asked
// for.
//
// Until a pull is done the bytes are the peer's to read: a write that is given up stays held until the peer has
// answered, or is lost. Loop thread only.
#pragma once

#include <sys/types.h>

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <memory>
#include <string>

#include "transfer/connection.h"
#include "transfer/context.h"
#include "transfer/copy_queue.h"
#include "transfer/cuda/device_landings.h"
#include "transfer/shm/mapped_pool.h"
#include "transfer/slice_queue.h"
#include "transfer/stats/rail_counters.h"
#include "transfer/transport.h"

namespace mooncake::transfer {

/// Answers about copies wait for more of them up to this many bytes, or as many as are left to copy if those are more:
/// a wakeup of the other process costs 10 to 40 us here, as much as half a MiB takes to copy. So the peer learns that a
/// slice is done after at most twice the time that it took.
inline constexpr std::size_t kAnswerBytes = 4u << 20;
/// Pulls and grants of a peer at once; its own window is 64 here, other versions may have a larger one.
inline constexpr std::size_t kShmServedMax = 4096;

class ShmTransport final : public Transport {
 public:
  /// What is written to devices goes on by `landings`.
  ShmTransport(Context& context, SliceQueue& queue, DeviceLandings& landings, PeerHandle handle, std::string peer,
               std::shared_ptr<Connection> connection);

  [[nodiscard]] bool owns(const Connection& connection) const { return connection_.get() == &connection; }
  /// The peer has said what it can read.
  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] bool open() const { return connection_->open(); }
  [[nodiscard]] PathCounters& counters() { return counters_[0]; }
  /// True if this slice can go by shm, as far as this side knows.
  [[nodiscard]] bool carries(const Slice& slice) const;

  [[nodiscard]] std::string_view name() const override { return "shm"; }
  void start(SliceId id, const Slice& slice) override;
  Abandoned abandon(SliceId id, const Slice& slice) override;

  /// A frame from the unix socket. A failure is a reason to end the connection.
  Status on_frame(const FrameHeader& header, std::string_view payload);
  /// Ends copies into the segment. Grants on it end with the peer's release.
  void revoke(SegmentHandle segment);
  void pool_gone(std::uint64_t pool);
  /// Closes the socket and lets go of everything but what was granted: the peer may be copying from it until it has
  /// noticed.
  void stop(const Status& reason);
  /// The same, and then lets go of what was granted: the peer cannot copy any more, or finds the socket closed when it
  /// has copied and does not take the bytes.
  void close(const Status& reason);

 private:
  /// A read of the peer. Its bytes are in the segment; or a device's, and in the slot.
  struct Grant {
    SegmentHandle segment;  // while it is held; none if the bytes are a device's
    std::size_t bytes = 0;
    std::uint64_t fetching = 0;  // of the CudaHost; 0 once they are in the slot
    StagingSlot slot = {};
  };
  /// A write of the peer.
  struct Pull {
    SegmentHandle segment;      // while it is held; none if it goes to a device
    std::uint64_t waiting = 0;  // for a slot: of the CudaHost
  };

  Status on_probe(std::string_view payload);
  Status on_pool(std::string_view payload);
  Status on_pull(const FrameHeader& header, std::string_view payload);
  Status on_grant(const FrameHeader& header, std::string_view payload);
  Status on_granted(const FrameHeader& header, std::string_view payload);
  Status on_release(const FrameHeader& header);
  Status on_done(const FrameHeader& header, std::string_view payload);

  void pull_to_device(CopyJob job, std::byte* device);
  void on_pull_slot(CopyJob job, SegmentHold hold, std::byte* device, Result<StagingSlot> slot);
  void cancel_pull(std::uint64_t id);
  void grant_of_device(std::uint64_t id, const BulkRange& range, const std::byte* device);
  void on_grant_slot(std::uint64_t id, Result<StagingSlot> slot);
  void let_go(const Grant& grant);
  [[nodiscard]] bool hung_up() const;
  void end_pull(std::uint64_t id, SegmentHandle segment, std::size_t bytes, const Status& status);
  void end_read(std::uint64_t id, std::size_t bytes, const Status& status);
  Result<ShmSource> source_of(ConstByteSpan memory);
  Status resolve(const ShmSource& source, CopyJob& job) const;
  void send(FrameKind kind, std::uint64_t id, ConstByteSpan small = {}, std::uint32_t argument = 0);
  void send_done(std::uint64_t id, const Status& status, std::uint16_t flags = 0);
  void answer(OutFrame frame, std::size_t bytes);

  Context& context_;
  SliceQueue& queue_;
  const PeerHandle peer_handle_;
  RailCounters counters_;
  std::shared_ptr<Connection> connection_;  // shared: see Connection
  pid_t pid_ = 0;
  std::unique_ptr<std::uint64_t> nonce_;  // what the peer is asked to read; its address is told
  bool ready_ = false;
  bool peer_reads_us_ = false;                    // the peer can read any memory of ours
  absl::flat_hash_set<std::uint64_t> announced_;  // our pools that the peer has
  absl::flat_hash_map<std::uint64_t, std::shared_ptr<const MappedPool>>
      pools_;  // the peer's; shared with copies that run
  absl::flat_hash_map<std::uint64_t, Grant> grants_;
  absl::flat_hash_map<std::uint64_t, Pull> pulls_;
  absl::flat_hash_set<std::uint64_t> reads_;  // ours, being copied
  CopyQueue copies_;
  DeviceLandings& landings_;
  std::size_t unanswered_ = 0;                                  // bytes whose answers wait
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // told to posted tasks
};

/// The process at the other end of a unix socket. @return kPermissionDenied if it belongs to another user.
Result<pid_t> peer_process(int fd);

}  // namespace mooncake::transfer
