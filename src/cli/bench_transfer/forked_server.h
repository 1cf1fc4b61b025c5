// ForkedServer: a process that serves one socket on loopback, for what the transfer engine is compared with: plain code
// in two processes, without the engine and without threads of this program.
#pragma once

#include <sys/types.h>

#include "base/status.h"
#include "transfer/fd.h"

namespace mooncake::cli {

class ForkedServer {
 public:
  /// Forks a process that calls `serve` with a listening, non-blocking socket at a free port. It ends with this object,
  /// or with this process. To be called before this process has threads: the child goes on in a copy of its memory.
  /// @return kUnavailable with the system's reason.
  static Result<ForkedServer> start(void (*serve)(int listener));

  ForkedServer(ForkedServer&& other) noexcept;
  ForkedServer& operator=(ForkedServer&& other) = delete;
  ~ForkedServer();

  [[nodiscard]] const transfer::Endpoint& endpoint() const { return endpoint_; }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  ForkedServer(pid_t pid, const transfer::Endpoint& endpoint) : pid_(pid), endpoint_(endpoint) {}

  pid_t pid_;  ///< 0 once moved from
  transfer::Endpoint endpoint_;
};

}  // namespace mooncake::cli
