// PeerProcess: an engine with a SlotServer in a process of its own, which can be killed and started again on its port.
// The process is this program, started anew: this one has threads, and could not be forked.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <string>

#include "credentials.h"
#include "slot_server.h"

namespace mooncake::soak {

class PeerProcess {
 public:
  /// `shm` false: it is reached by tcp alone. The process dies with the thread that starts it.
  PeerProcess(std::string name, bool shm, const Credentials& credentials)
      : name_(std::move(name)), shm_(shm), credentials_(credentials) {
    start();
  }
  ~PeerProcess() { static_cast<void>(kill()); }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool shm() const { return shm_; }
  void signal(int number) const { ::kill(pid_, number); }
  /// Returns when the process is gone. @return false if it had died before: it was not to.
  [[nodiscard]] bool kill() {
    return end_by(SIGKILL, [](int status) { return WIFSIGNALED(status); });
  }
  /// Asks it to end, which a sanitizer uses to look for leaks. @return whether it did so well.
  [[nodiscard]] bool end() {
    return end_by(SIGTERM, [](int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; });
  }
  /// On its port. Returns when it listens.
  void start() {
    std::array<int, 2> ends{};
    CHECK(::pipe2(ends.data(), O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    std::array<std::string, 6> words = {
        "transfer_soak", "peer", name_, shm_ ? "shm" : "tcp", credentials_.mode(), credentials_.directory()};
    std::array<char*, 7> arguments{};
    std::ranges::transform(words, arguments.begin(), [](std::string& word) { return word.data(); });
    CHECK(::posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, arguments.data(), environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    char ready = 0;
    CHECK(::read(ends[0], &ready, 1) == 1);
    ::close(ends[0]);
  }

  /// What the process does: "transfer_soak peer ENDPOINT shm|tcp", with these credentials.
  static int main(const std::string& endpoint, bool shm, transfer::AuthConfig auth) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t end;
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &end, nullptr);  // in all threads: it is waited for
    Result<std::unique_ptr<transfer::TransferEngine>> engine =
        transfer::TransferEngine::create({.listen = endpoint,
                                          .node_name = shm ? "shm-peer" : "tcp-peer",
                                          .connections_per_peer = 4,
                                          .enable_shm = shm,
                                          .auth = std::move(auth)});
    if (!engine.ok()) {
      std::fprintf(stderr, "SOAK: %s\n", engine.status().to_string().c_str());
      return 1;
    }
    SlotServer server(**engine);
    std::printf("ready\n");
    std::fflush(stdout);
    int number = 0;
    const int failed = ::sigwait(&end, &number);
    engine->reset();  // with its handlers, which use the server
    return failed;
  }

 private:
  template <typename Expected>
  bool end_by(int number, Expected expected) {
    if (pid_ == 0) return true;
    int status = 0;
    const bool early = ::waitpid(pid_, &status, WNOHANG) != 0;
    if (!early) {
      signal(number);
      ::waitpid(pid_, &status, 0);
    }
    pid_ = 0;
    return !early && expected(status);
  }

  const std::string name_;
  const bool shm_;
  const Credentials& credentials_;
  pid_t pid_ = 0;
};

}  // namespace mooncake::soak
