// CopyQueue: copies from memory to memory in the loop's turns, so that sockets are served in between: a piece a turn,
// or one for each thread of the crew where much waits. In order, but for pieces that touch nothing of one another.
// Between turns nobody touches any memory. Loop thread only.
#pragma once

#include <sys/types.h>

#include <absl/functional/any_invocable.h>

#include <deque>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "net/event_loop.h"
#include "transfer/copy_crew.h"
#include "transfer/shm/mapped_pool.h"
#include "transfer/transfer_engine.h"

namespace mooncake::transfer {

/// One thread's part of a turn: about 0.1 ms at 10 GB/s, what a message may wait behind a copy.
inline constexpr std::size_t kCopyPieceBytes = 1u << 20;
/// The crew is woken for no less: 0.4 ms of one thread, where waking others takes some 0.05.
inline constexpr std::size_t kCopyTogetherBytes = 4u << 20;

struct CopyJob {
  std::uint64_t id = 0;   ///< for cancel()
  SegmentHandle segment;  ///< of this engine that the job reads or writes, for revoke()
  std::byte* to = nullptr;
  const std::byte* from = nullptr;  ///< an address here, or in process `pid`
  std::size_t bytes = 0;
  pid_t pid = 0;                           ///< 0: this process
  Status failed = {};                      ///< the queue's: a piece of it could not be copied
  std::shared_ptr<const MappedPool> pool;  ///< keeps `from` mapped; shared with the table of the peer's pools
  /// Runs once, on the loop, when the copy is over or was taken out. kPermissionDenied: the process may not be read.
  absl::AnyInvocable<void(Status)> done;
};

class CopyQueue {
 public:
  CopyQueue(net::EventLoop& loop, CopyCrew& crew) : loop_(loop), crew_(crew) {}

  [[nodiscard]] bool empty() const { return jobs_.empty(); }
  /// That are still to be copied.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  /// `done` never runs inside this call.
  void push(CopyJob job);
  /// Takes a job out; its memory is untouched from here on. @return false if there is none; else `done` has run, with
  /// `why`.
  bool cancel(std::uint64_t id, const Status& why);
  /// Takes out all jobs on a segment.
  void revoke(SegmentHandle segment, const Status& why);
  /// Takes a job out without running its `done`.
  void forget(std::uint64_t id);
  /// Takes out all jobs; none runs its `done`.
  void clear() {
    jobs_.clear();
    bytes_ = 0;
  }

 private:
  void turn();
  void plan_turn();
  void copy_some();
  void gather();
  template <typename Match>
  bool take_out(Match match, const Status& why);

  net::EventLoop& loop_;
  CopyCrew& crew_;
  std::deque<CopyJob> jobs_;
  std::vector<CopyPiece> pieces_;  // of this turn
  std::size_t bytes_ = 0;          // of all jobs
  bool running_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // told to the posted turn
};

}  // namespace mooncake::transfer
