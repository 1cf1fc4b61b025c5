// EventLoop: the Executor of a process's own state: one thread, tasks in order, timers, and the signals that end it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/executor.h"

namespace mooncake::net {

class EventLoop : public Executor {
 public:
  /// A loop that has not started. `name` is its thread's name when start() is used (at most 15 characters).
  static std::unique_ptr<EventLoop> create(std::string name);

  /// Runs tasks on the calling thread until stop().
  virtual void run() = 0;
  /// Runs tasks on a thread of its own until stop(); the destructor joins it.
  virtual void start() = 0;
  /// Ends run() after the current task. From any thread.
  virtual void stop() = 0;
  /// `handler` runs on the loop for each SIGINT or SIGTERM of the process.
  virtual void on_signal(std::function<void(int signal)> handler) = 0;
};

}  // namespace mooncake::net
