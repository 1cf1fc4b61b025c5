#include "transfer/file/file_queue.h"

#include "base/log.h"
#include "transfer/file/ring_queue.h"
#include "transfer/file/thread_queue.h"

namespace mooncake::transfer {

std::unique_ptr<FileQueue> make_file_queue(net::EventLoop& loop, const PoolSet& pools, FileQueue::Completed completed) {
  Result<std::unique_ptr<FileQueue>> ring = RingQueue::create(loop, pools, completed);
  if (ring.ok()) return std::move(*ring);
  log_info("transfer: files are moved by {} threads, without io_uring: {}", kFileThreads, ring.status().message());
  return std::make_unique<ThreadQueue>(loop, std::move(completed));
}

}  // namespace mooncake::transfer
