// For tests: a child process of this one. It is forked, so before this process has threads of its own; and it dies with
// it.
#pragma once

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <functional>
#include <string>

#include "base/check.h"

namespace mooncake::transfer {

class TestChild {
 public:
  /// What the child does. It calls `say`, once, when it is ready, and does not return before it is killed.
  using Main = std::function<void(const std::function<void(const std::string&)>& say)>;

  /// Returns when the child has said something.
  explicit TestChild(const Main& main) {
    std::array<int, 2> ends{};
    CHECK(::pipe(ends.data()) == 0);
    pid_ = ::fork();
    CHECK(pid_ >= 0);
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      main([out = ends[1]](const std::string& text) {
        const std::string line = text + "\n";
        CHECK(::write(out, line.data(), line.size()) == static_cast<ssize_t>(line.size()));
      });
      std::abort();
    }
    ::close(ends[1]);
    for (char c = 0; ::read(ends[0], &c, 1) == 1 && c != '\n';) said_.push_back(c);
    ::close(ends[0]);
    CHECK(!said_.empty());
  }
  ~TestChild() { kill(); }

  [[nodiscard]] const std::string& said() const { return said_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  void signal(int number) const { ::kill(pid_, number); }
  /// Returns when it has stopped, which a signal alone does not wait for.
  void stop() const {
    signal(SIGSTOP);
    CHECK(::waitpid(pid_, nullptr, WUNTRACED) == pid_);
  }
  /// As kill -9; returns when the process is gone.
  void kill() {
    if (pid_ == 0) return;
    signal(SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
  std::string said_;
};

}  // namespace mooncake::transfer
