// IoLoop: the one thread that owns all sockets, peers and operations of an engine. A small face for Asio, so that
// nothing else needs its headers.
#pragma once

#include <memory>
#include <string>

#include "base/executor.h"
#include "base/time.h"
#include "transfer/fd.h"

namespace mooncake::transfer {

/// A file descriptor on the loop. One reader and one writer may wait at a time. Loop thread only.
class FdWatch {
 public:
  virtual ~FdWatch() = default;
  /// Runs `task` once, when the descriptor can be read (or has failed). Never inside this call.
  virtual void wait_readable(Task task) = 0;
  /// The same for writing.
  virtual void wait_writable(Task task) = 0;
  /// Closes the descriptor; waiting tasks are destroyed without running.
  virtual void close() = 0;
  /// -1 after close().
  [[nodiscard]] virtual int fd() const = 0;
};

class IoLoop {
 public:
  /// Starts the thread.
  static std::unique_ptr<IoLoop> create();
  /// stop().
  virtual ~IoLoop() = default;

  /// Runs `task` on the loop, after those posted before. From any thread; never inside this call.
  virtual void post(Task task) = 0;
  /// Runs `task` at `when` or shortly after; kNever never. Loop thread only.
  virtual TimerId at(Instant when, Task task) = 0;
  /// After this the task does not run. Loop thread only; no-op for a timer that has run.
  virtual void cancel(TimerId timer) = 0;
  /// Takes a non-blocking descriptor. Loop thread only. @return kExhausted if the kernel will not watch it.
  virtual Result<std::unique_ptr<FdWatch>> watch(UniqueFd fd) = 0;
  /// The clock that at() is measured on.
  static Instant now() { return std::chrono::steady_clock::now(); }
  /// Ends the thread after the current task and joins it. Tasks left are destroyed with the loop.
  virtual void stop() = 0;
  [[nodiscard]] virtual bool is_current() const = 0;
};

}  // namespace mooncake::transfer
