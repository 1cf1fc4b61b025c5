// FileQueue: reads and writes of files that go on while the loop does something else. Two ways: RingQueue (io_uring),
// and ThreadQueue where the kernel or a sandbox forbids that.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/bytes.h"
#include "net/event_loop.h"
#include "transfer/shm/pool_set.h"

namespace mooncake::transfer {

/// Operations that a queue has taken and not completed. The window of the SliceQueue keeps them below 64; the queue
/// refuses to be the place where they pile up.
inline constexpr std::size_t kFileOpsMax = 1024;
/// Of those, handed to the kernel; the others wait in order. 64 of 1 MiB are 10 ms of a fast SSD: more adds latency
/// only.
inline constexpr std::size_t kFileOpsInKernelMax = 64;

struct FileOp {
  std::uint64_t id = 0;  ///< unique among those in the queue; below 2^63
  bool write = false;
  int fd = -1;               ///< stays open until the completion
  ByteSpan memory;           ///< the kernel's until the completion
  std::uint64_t offset = 0;  ///< in the file
};

/// Loop thread only.
class FileQueue {
 public:
  /// `moved`: bytes, which may be fewer than asked for, or a negative errno. Once an operation, on the loop, never
  /// inside a call to the queue.
  using Completed = std::function<void(std::uint64_t id, std::int64_t moved)>;

  /// Waits until the kernel has let go of all memory; nothing is completed any more. A device that hangs is waited for.
  virtual ~FileQueue() = default;

  /// CHECK-fails at kFileOpsMax.
  virtual void submit(const FileOp& op) = 0;
  /// Asks for an early end. The completion still comes: with -ECANCELED, or -EINTR, if that was possible.
  virtual void cancel(std::uint64_t id) = 0;
  /// A shared pool of ours was freed.
  virtual void pool_gone(std::uint64_t pool) = 0;
};

/// How a FileTransport gets its queue.
using FileQueueFactory =
    std::function<std::unique_ptr<FileQueue>(net::EventLoop&, const PoolSet&, FileQueue::Completed)>;

/// The best that this process may use: a ring, else threads.
std::unique_ptr<FileQueue> make_file_queue(net::EventLoop& loop, const PoolSet& pools, FileQueue::Completed completed);

}  // namespace mooncake::transfer
