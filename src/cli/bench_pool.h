// RequestPool: a thread for each blocking request in flight, up to a limit, reused. Threads are made when needed.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace mooncake::cli {

class RequestPool {
 public:
  explicit RequestPool(std::uint32_t threads_max) : threads_max_(threads_max) {}
  /// Waits for every task.
  ~RequestPool();
  RequestPool(const RequestPool&) = delete;
  RequestPool& operator=(const RequestPool&) = delete;

  /// Runs `task` on a thread of the pool, at once. @return false, without running it, if all threads_max are busy. From
  /// one thread.
  bool try_run(std::function<void()> task) EXCLUDES(mutex_);

 private:
  void work() EXCLUDES(mutex_);

  const std::uint32_t threads_max_;
  std::vector<std::thread> threads_;
  Mutex mutex_;
  CondVar wake_;
  std::deque<std::function<void()>> tasks_ GUARDED_BY(mutex_);
  std::uint32_t busy_ GUARDED_BY(mutex_) = 0;  // running or about to run
  bool closing_ GUARDED_BY(mutex_) = false;
};

}  // namespace mooncake::cli
