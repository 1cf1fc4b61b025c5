#include "cli/bench_pool.h"

#include <utility>

namespace mooncake::cli {

RequestPool::~RequestPool() {
  {
    const MutexLock lock(mutex_);
    closing_ = true;
    wake_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
}

bool RequestPool::try_run(std::function<void()> task) {
  bool needs_thread = false;
  {
    const MutexLock lock(mutex_);
    if (busy_ == threads_max_) return false;
    needs_thread = busy_ == threads_.size();
    ++busy_;
    tasks_.push_back(std::move(task));
    wake_.notify_one();
  }
  if (needs_thread) threads_.emplace_back([this] { work(); });
  return true;
}

void RequestPool::work() {
  while (true) {
    std::function<void()> task;
    {
      MutexLock lock(mutex_);
      while (tasks_.empty() && !closing_) wake_.wait(mutex_);
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
    const MutexLock lock(mutex_);
    --busy_;
  }
}

}  // namespace mooncake::cli
