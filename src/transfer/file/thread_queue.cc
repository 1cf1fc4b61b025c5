#include "transfer/file/thread_queue.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "base/check.h"
#include "base/log.h"

namespace mooncake::transfer {
namespace {

std::int64_t move(const FileOp& op) {
  const auto offset = static_cast<off_t>(op.offset);
  const ssize_t moved = op.write ? ::pwrite(op.fd, op.memory.data(), op.memory.size(), offset)
                                 : ::pread(op.fd, op.memory.data(), op.memory.size(), offset);
  return moved < 0 ? -errno : moved;
}

}  // namespace

ThreadQueue::ThreadQueue(net::EventLoop& loop, Completed completed) : loop_(loop), completed_(std::move(completed)) {
  try {
    for (std::size_t i = 0; i < kFileThreads; ++i) threads_.emplace_back([this] { work(); });
  } catch (const std::system_error& error) {
    log_warn("transfer: {} threads move files, not {}: {}", threads_.size(), kFileThreads, error.what());
  }
}

ThreadQueue::~ThreadQueue() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    waiting_.clear();
    changed_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
}

void ThreadQueue::submit(const FileOp& op) {
  CHECK(ops_ < kFileOpsMax);
  ++ops_;
  if (threads_.empty()) return complete(op.id, -EAGAIN);
  MutexLock lock(mutex_);
  waiting_.push_back(op);
  changed_.notify_one();
}

void ThreadQueue::cancel(std::uint64_t id) {
  MutexLock lock(mutex_);
  const auto found = std::ranges::find(waiting_, id, &FileOp::id);
  if (found == waiting_.end()) return;  // a thread has it, and will complete it
  waiting_.erase(found);
  complete(id, -ECANCELED);
}

void ThreadQueue::work() {
  pthread_setname_np(pthread_self(), "transfer-file");
  for (;;) {
    FileOp op;
    {
      MutexLock lock(mutex_);
      while (waiting_.empty() && !stopping_) changed_.wait(mutex_);
      if (stopping_) return;
      op = waiting_.front();
      waiting_.pop_front();
    }
    complete(op.id, move(op));
  }
}

void ThreadQueue::complete(std::uint64_t id, std::int64_t moved) {
  loop_.post([this, id, moved, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    --ops_;
    completed_(id, moved);
  });
}

}  // namespace mooncake::transfer
