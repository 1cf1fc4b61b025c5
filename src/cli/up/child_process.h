// ChildProcess: one process that `mooncake up` started, and that ends with it.
//
// The child is this same program with other arguments. It runs in a process group of its own, so that Ctrl-C in a
// terminal reaches `up` alone, which then ends the others in order. If `up` dies, however that happens, the kernel
// kills the child (PR_SET_PDEATHSIG). It says that it is ready, or why it cannot be, by a line of JSON on descriptor
// kReadyFd; standard output and error go to a file.
//
// Thread-compatible. The parent-death signal is bound to the thread that calls start(): it must live as long as `up`.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/status.h"

namespace mooncake::cli {

/// Where a child writes its line; the first after standard input, output and error.
inline constexpr int kReadyFd = 3;
/// A line longer than this is not ours.
inline constexpr std::size_t kReadyLineBytesMax = 64 << 10;

class ChildProcess {
 public:
  /// Starts `program` (a path) with `arguments` (without the program's name). What it prints is appended to
  /// `output_file`.
  /// @return kUnavailable with the system's reason; a program that cannot be executed exits with 127 instead.
  static Result<ChildProcess> start(const std::string& program, const std::vector<std::string>& arguments,
                                    const std::string& output_file);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  /// Kills the process if it still runs, and waits for it.
  ~ChildProcess();

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Readable once the process has ended.
  [[nodiscard]] int exit_fd() const { return pidfd_; }
  /// Readable when read_ready() may have news; -1 once none can come any more.
  [[nodiscard]] int ready_fd() const { return ready_; }

  /// Takes what the child has written so far. @return its next whole line; empty if there is none yet. To be called
  /// until then.
  std::string read_ready();

  /// Sends a signal; no-op when it has been reaped.
  void signal(int signum) const;

  /// Waits for the end. @return how it ended, for a person: "exited with status 1", "was killed by signal 9 (Killed)".
  std::string reap();

 private:
  ChildProcess() = default;
  void close_fds();

  pid_t pid_ = -1;  ///< -1 once reaped or moved from
  int pidfd_ = -1;
  int ready_ = -1;
  std::string unread_;  ///< what came after the last whole line
};

}  // namespace mooncake::cli
