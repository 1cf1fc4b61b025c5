#include "cli/up/child_process.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

namespace mooncake::cli {
namespace {

/// What a dying process may leave in its output file before the file is started anew.
constexpr off_t kOutputBytesMax = 10 << 20;

Status failed(std::string_view what) {
  return {Code::kUnavailable, fmt::format("cannot start a process: {}: {}", what, std::strerror(errno))};
}

int open_output(const std::string& file) {
  struct stat info {};
  const bool too_long = ::stat(file.c_str(), &info) == 0 && info.st_size > kOutputBytesMax;
  return ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (too_long ? O_TRUNC : 0), 0644);
}

// Between fork and exec: only async-signal-safe calls, because other threads may have held locks.
[[noreturn]] void become(const char* program, char* const* argv, pid_t parent, int input, int output, int ready) {
  ::setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);  // the parent died before the line above
  ::dup2(input, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::dup2(ready, kReadyFd);
  ::fcntl(kReadyFd, F_SETFD, 0);  // dup2 onto itself keeps close-on-exec
  ::close_range(kReadyFd + 1, ~0U, 0);
  ::execv(program, argv);
  ::_exit(127);
}

}  // namespace

Result<ChildProcess> ChildProcess::start(const std::string& program, const std::vector<std::string>& arguments,
                                         const std::string& output_file) {
  std::vector<std::string> words = arguments;
  words.insert(words.begin(), "mooncake");
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  const int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int output = open_output(output_file);
  std::array<int, 2> pipe = {-1, -1};
  ChildProcess child;
  Status status;
  if (input < 0) {
    status = failed("/dev/null");
  } else if (output < 0) {
    status = failed(output_file);
  } else if (::pipe2(pipe.data(), O_CLOEXEC) != 0) {
    status = failed("pipe");
  } else {
    const pid_t parent = ::getpid();
    child.pid_ = ::fork();
    if (child.pid_ == 0) become(program.c_str(), argv.data(), parent, input, output, pipe[1]);
    if (child.pid_ < 0) status = failed("fork");
  }
  for (const int fd : {input, output, pipe[1]}) {
    if (fd >= 0) ::close(fd);
  }
  child.ready_ = pipe[0];
  if (!status.ok()) return status;
  ::fcntl(child.ready_, F_SETFL, O_NONBLOCK);
  // By number: glibc 2.36 declares pidfd_open() without C linkage.
  child.pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, child.pid_, 0));
  if (child.pidfd_ < 0) return failed("pidfd_open");
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::exchange(other.pidfd_, -1)),
      ready_(std::exchange(other.ready_, -1)),
      unread_(std::move(other.unread_)) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(pidfd_, other.pidfd_);
  std::swap(ready_, other.ready_);
  std::swap(unread_, other.unread_);
  return *this;
}

ChildProcess::~ChildProcess() {
  if (pid_ > 0) {
    signal(SIGKILL);
    (void)reap();
  }
  close_fds();
}

void ChildProcess::close_fds() {
  for (int* fd : {&pidfd_, &ready_}) {
    if (*fd >= 0) ::close(std::exchange(*fd, -1));
  }
}

std::string ChildProcess::read_ready() {
  std::array<char, 4096> buffer;
  for (;;) {
    if (const std::size_t end = unread_.find('\n'); end != std::string::npos) {
      std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return line;
    }
    if (ready_ < 0) return {};
    const ssize_t got = ::read(ready_, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return {};
    if (got > 0) unread_.append(buffer.data(), static_cast<std::size_t>(got));
    if (got <= 0 || unread_.size() > kReadyLineBytesMax) ::close(std::exchange(ready_, -1));
  }
}

void ChildProcess::signal(int signum) const {
  if (pid_ > 0) ::kill(pid_, signum);
}

std::string ChildProcess::reap() {
  if (pid_ <= 0) return "was reaped";
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (WIFSIGNALED(status)) {
    return fmt::format("was killed by signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  }
  return fmt::format("exited with status {}", WEXITSTATUS(status));
}

}  // namespace mooncake::cli
