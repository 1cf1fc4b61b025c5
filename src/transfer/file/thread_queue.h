// ThreadQueue: file operations by threads that block in pread and pwrite, for kernels and sandboxes that forbid
// io_uring.
#pragma once

#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "transfer/file/file_queue.h"

namespace mooncake::transfer {

/// One keeps one operation in the device: 8 of 1 MiB are nearly all that an SSD can use.
inline constexpr std::size_t kFileThreads = 8;

class ThreadQueue final : public FileQueue {
 public:
  ThreadQueue(net::EventLoop& loop, Completed completed);
  ~ThreadQueue() override;

  void submit(const FileOp& op) override EXCLUDES(mutex_);
  void cancel(std::uint64_t id) override EXCLUDES(mutex_);
  void pool_gone(std::uint64_t /*pool*/) override {}

 private:
  void work() EXCLUDES(mutex_);
  void complete(std::uint64_t id, std::int64_t moved);

  net::EventLoop& loop_;
  const Completed completed_;
  std::size_t ops_ = 0;                                               // taken and not completed; loop thread
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // told to posted completions
  Mutex mutex_;
  CondVar changed_;
  std::deque<FileOp> waiting_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace mooncake::transfer
