#include "cli/bench_transfer/forked_server.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

namespace mooncake::cli {

Result<ForkedServer> ForkedServer::start(void (*serve)(int listener)) {
  MC_ASSIGN_OR_RETURN(const transfer::Endpoint any, transfer::parse_endpoint("127.0.0.1:0"));
  MC_ASSIGN_OR_RETURN(const UniqueFd listener, transfer::listen_tcp(any));
  MC_ASSIGN_OR_RETURN(const transfer::Endpoint endpoint, transfer::local_endpoint(listener.get()));
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return Status(Code::kUnavailable, "cannot start a process: " + transfer::errno_text(errno));
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() == parent) serve(listener.get());
    ::_exit(1);
  }
  return ForkedServer(pid, endpoint);
}

ForkedServer::ForkedServer(ForkedServer&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)), endpoint_(other.endpoint_) {}

ForkedServer::~ForkedServer() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace mooncake::cli
