// BoundedQueue: a queue between threads that pushes back when it is full, instead of growing.
//
// Any number of producers and consumers. Closing it wakes everybody: producers are refused from then on, consumers get
// what is left and then nothing. Thread-safe.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/mutex.h"
#include "base/status.h"

namespace mooncake {

template <typename T>
class BoundedQueue {
 public:
  /// Holds at most `capacity` items; at least 1.
  explicit BoundedQueue(std::size_t capacity) : capacity_(capacity) { CHECK(capacity > 0); }

  /// Appends `item` without waiting. @return kExhausted when the queue is full (back off, then retry), kCancelled when
  /// it is closed; `item` is destroyed then.
  Status try_push(T item) EXCLUDES(mutex_) {
    {
      const MutexLock lock(mutex_);
      if (closed_) return {Code::kCancelled, "the queue is closed"};
      if (items_.size() >= capacity_) return {Code::kExhausted, "the queue is full"};
      items_.push_back(std::move(item));
    }
    not_empty_.notify_one();
    return {};
  }

  /// Appends `item`, waiting for room until `deadline`. @return kDeadlineExceeded, kCancelled when it is closed.
  Status push(T item, Deadline deadline) EXCLUDES(mutex_) {
    {
      const MutexLock lock(mutex_);
      while (!closed_ && items_.size() >= capacity_) {
        if (!not_full_.wait_until(mutex_, deadline)) break;
      }
      if (closed_) return {Code::kCancelled, "the queue is closed"};
      if (items_.size() >= capacity_) return {Code::kDeadlineExceeded, "the queue stayed full"};
      items_.push_back(std::move(item));
    }
    not_empty_.notify_one();
    return {};
  }

  /// The oldest item, waiting for one until `deadline`. Empty when none came in time, or the queue is closed and empty.
  std::optional<T> pop(Deadline deadline) EXCLUDES(mutex_) {
    std::optional<T> item;
    {
      const MutexLock lock(mutex_);
      while (!closed_ && items_.empty()) {
        if (!not_empty_.wait_until(mutex_, deadline)) break;
      }
      if (items_.empty()) return std::nullopt;
      item.emplace(std::move(items_.front()));
      items_.pop_front();
    }
    not_full_.notify_one();
    return item;
  }

  /// The oldest item, if there is one now.
  std::optional<T> try_pop() EXCLUDES(mutex_) { return pop(Instant{}); }

  /// Refuses items from now on and wakes everybody who waits. Idempotent.
  void close() EXCLUDES(mutex_) {
    {
      const MutexLock lock(mutex_);
      closed_ = true;
    }
    not_empty_.notify_all();
    not_full_.notify_all();
  }

  [[nodiscard]] std::size_t size() const EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return items_.size();
  }

 private:
  const std::size_t capacity_;
  mutable Mutex mutex_;
  CondVar not_empty_;
  CondVar not_full_;
  std::deque<T> items_ GUARDED_BY(mutex_);
  bool closed_ GUARDED_BY(mutex_) = false;
};

}  // namespace mooncake
