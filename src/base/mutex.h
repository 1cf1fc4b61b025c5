// Mutex, MutexLock, CondVar: std::mutex with clang's thread-safety annotations, so that `GUARDED_BY` is checked by the
// compiler, and with nothing precompiled in between, so that ThreadSanitizer sees every lock.
#pragma once

#include <absl/base/thread_annotations.h>

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "base/time.h"

#if defined(__clang__)
#define MC_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define MC_THREAD_ANNOTATION(x)
#endif

// GUARDED_BY and NO_THREAD_SAFETY_ANALYSIS are Abseil's: its containers define them too, with the same meaning.
#define CAPABILITY(x) MC_THREAD_ANNOTATION(capability(x))
#define SCOPED_CAPABILITY MC_THREAD_ANNOTATION(scoped_lockable)
#define REQUIRES(...) MC_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) MC_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) MC_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define RELEASE(...) MC_THREAD_ANNOTATION(release_capability(__VA_ARGS__))

namespace mooncake {

class CAPABILITY("mutex") Mutex {
 public:
  void lock() ACQUIRE() { mutex_.lock(); }
  void unlock() RELEASE() { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

class CondVar {
 public:
  void notify_one() { cv_.notify_one(); }
  void notify_all() { cv_.notify_all(); }

  /// Blocks until notified; may wake spuriously, so call it in a loop over the condition.
  void wait(Mutex& mutex) REQUIRES(mutex) NO_THREAD_SAFETY_ANALYSIS {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    cv_.wait(lock);
    lock.release();
  }

  /// As wait(), but gives up at `deadline`. @return false when the deadline has passed.
  bool wait_until(Mutex& mutex, Deadline deadline) REQUIRES(mutex) NO_THREAD_SAFETY_ANALYSIS {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    bool in_time = true;
    if (deadline == kNever) {
      cv_.wait(lock);
    } else {
      in_time = cv_.wait_until(lock, deadline) == std::cv_status::no_timeout;
    }
    lock.release();
    return in_time;
  }

 private:
  std::condition_variable cv_;
};

}  // namespace mooncake
