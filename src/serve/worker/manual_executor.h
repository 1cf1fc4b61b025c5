// ManualExecutor: an Executor for tests that runs tasks when it is told to, on a clock that moves when it is told to.
#pragma once

#include <deque>
#include <map>
#include <utility>

#include "base/executor.h"

namespace mooncake::serve {

/// Single-threaded: every member from the test's thread.
class ManualExecutor final : public Executor {
 public:
  void post(Task task) override { tasks_.push_back(std::move(task)); }

  TimerId post_at(Instant when, Task task) override {
    const TimerId id{++last_timer_};
    timers_.emplace(std::pair(when, id), std::move(task));
    return id;
  }

  void cancel(TimerId timer) override {
    std::erase_if(timers_, [&](const auto& entry) { return entry.first.second == timer; });
  }

  [[nodiscard]] bool is_current() const override { return running_; }
  [[nodiscard]] const Clock& clock() const override { return clock_; }

  /// Runs everything that is posted or due, and what that posts.
  void run() {
    running_ = true;
    for (;;) {
      if (!timers_.empty() && timers_.begin()->first.first <= clock_.now()) {
        Task task = std::move(timers_.begin()->second);
        timers_.erase(timers_.begin());
        task();
      } else if (!tasks_.empty()) {
        Task task = std::move(tasks_.front());
        tasks_.pop_front();
        task();
      } else {
        break;
      }
    }
    running_ = false;
  }

  void advance(Nanos by) {
    clock_.advance(by);
    run();
  }

  [[nodiscard]] std::size_t timers() const { return timers_.size(); }

 private:
  ManualClock clock_;
  std::deque<Task> tasks_;
  std::map<std::pair<Instant, TimerId>, Task> timers_;
  std::uint64_t last_timer_ = 0;
  bool running_ = false;
};

}  // namespace mooncake::serve
