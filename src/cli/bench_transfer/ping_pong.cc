#include "cli/bench_transfer/ping_pong.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <string>

namespace mooncake::cli {
namespace {

Status failed(std::string_view what) {
  return {Code::kUnavailable, "ping-pong: " + std::string(what) + ": " + transfer::errno_text(errno)};
}

/// An epoll set with one socket in it.
UniqueFd watch(int fd) {
  UniqueFd set(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (::epoll_ctl(set.get(), EPOLL_CTL_ADD, fd, &event) != 0) return {};
  return set;
}

/// Sleeps until the set's socket has something. @return whether it has.
bool await(const UniqueFd& set) {
  epoll_event event{};
  int ready = -1;
  do {
    ready = ::epoll_wait(set.get(), &event, 1, -1);
  } while (ready < 0 && errno == EINTR);
  return ready == 1;
}

bool again() { return errno == EAGAIN || errno == EINTR; }

/// Until the peer closes.
void echo(int fd) {
  const UniqueFd set = watch(fd);
  std::array<char, 64 << 10> buffer;
  while (set.valid() && await(set)) {
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got < 0 && again()) continue;
    // The peer sends no more before it has all of this, so the socket takes it whole.
    if (got <= 0 || ::send(fd, buffer.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL) != got) return;
  }
}

/// One message there and back.
Status round_trip(const UniqueFd& fd, const UniqueFd& set, std::string& message) {
  const auto size = static_cast<ssize_t>(message.size());
  if (::send(fd.get(), message.data(), message.size(), MSG_NOSIGNAL) != size) return failed("send");
  for (ssize_t have = 0; have < size;) {
    if (!await(set)) return failed("epoll");
    const ssize_t got = ::recv(fd.get(), message.data() + have, message.size() - static_cast<std::size_t>(have), 0);
    if (got == 0 || (got < 0 && !again())) return failed("recv");
    if (got > 0) have += got;
  }
  return {};
}

}  // namespace

void serve_ping_pong(int listener) {
  const UniqueFd set = watch(listener);
  while (set.valid() && await(set)) {
    const UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.valid()) continue;
    transfer::set_no_delay(fd.get());
    echo(fd.get());
  }
}

Result<LoadResult> run_ping_pong(const transfer::Endpoint& server, std::uint64_t bytes, Nanos duration) {
  MC_ASSIGN_OR_RETURN(const UniqueFd fd, transfer::connect_tcp(server));
  // From here on sends wait, first for the connection; a socket that epoll says has something is never waited for.
  ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK);
  const UniqueFd set = watch(fd.get());
  if (!set.valid()) return failed("epoll");
  std::string message(bytes, 'p');
  LoadResult result;
  const SteadyClock clock;
  const Instant begin = clock.now();
  for (Instant now = begin; now < begin + duration;) {
    MC_RETURN_IF_ERROR(round_trip(fd, set, message));
    const Instant done = clock.now();
    result.latency_us.push_back(std::chrono::duration<double, std::micro>(done - now).count());
    now = done;
  }
  result.seconds = std::chrono::duration<double>(clock.now() - begin).count();
  result.operations = result.latency_us.size();
  result.bytes = result.operations * bytes;
  return result;
}

}  // namespace mooncake::cli
