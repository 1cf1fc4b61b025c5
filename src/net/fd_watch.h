// FdWatch: a file descriptor on an event loop, which owns it from then on.
#pragma once

#include "base/executor.h"

namespace mooncake::net {

/// One reader and one writer may wait at a time. Loop thread only.
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

}  // namespace mooncake::net
