// EventLoop: one thread that runs tasks in order, keeps timers and watches descriptors; and the signals that end it.
// The executor of a process's own state, and of everything that a transfer engine owns. A small face for Asio, so that
// few files need its headers.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/executor.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "net/fd_watch.h"

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
  /// Waits until the thread of start() has ended; stop() it first. Not from that thread.
  virtual void join() = 0;
  /// Takes a non-blocking descriptor. Loop thread only. @return kExhausted if the kernel will not watch it.
  virtual Result<std::unique_ptr<FdWatch>> watch(UniqueFd fd) = 0;
  /// `handler` runs on the loop for each SIGINT or SIGTERM of the process.
  virtual void on_signal(std::function<void(int signal)> handler) = 0;
};

}  // namespace mooncake::net
