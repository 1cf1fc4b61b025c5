#include "transfer/fd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <system_error>

namespace mooncake::transfer {
namespace {

/// Connections that wait for accept(): a whole cluster that starts at once.
constexpr int kBacklog = 512;

Status unavailable(std::string_view what, int error) {
  return {Code::kUnavailable, fmt::format("{}: {}", what, errno_text(error))};
}

Result<sockaddr_un> unix_address(std::string_view name, socklen_t& size) {
  sockaddr_un address{};
  if (name.empty() || name.size() + 1 > sizeof address.sun_path) {
    return Status(Code::kInvalidArgument, "the name of a unix socket has 1 to 107 bytes");
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return address;
}

}  // namespace

std::string errno_text(int error) { return std::generic_category().message(error); }

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

Result<Endpoint> parse_endpoint(std::string_view text) {
  const Status wrong(
      Code::kInvalidArgument,
      fmt::format("\"{}\" is not an endpoint: expected HOST:PORT with a numeric host", text.substr(0, 100)));
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || text.find('\0') != std::string_view::npos) return wrong;
  std::string host(text.substr(0, colon));
  const std::string_view digits = text.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size()) return wrong;

  Endpoint endpoint;
  if (host == "localhost") host = "127.0.0.1";
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    if (inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &v6.sin6_addr) != 1) return wrong;
    std::memcpy(&endpoint.address, &v6, sizeof v6);
    endpoint.size = sizeof v6;
    return endpoint;
  }
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  if (inet_pton(AF_INET, host.c_str(), &v4.sin_addr) != 1) return wrong;
  std::memcpy(&endpoint.address, &v4, sizeof v4);
  endpoint.size = sizeof v4;
  return endpoint;
}

std::string format_endpoint(const Endpoint& endpoint) {
  char host[INET6_ADDRSTRLEN] = "?";
  if (endpoint.address.ss_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &endpoint.address, sizeof v6);
    inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host);
    return fmt::format("[{}]:{}", host, ntohs(v6.sin6_port));
  }
  sockaddr_in v4;
  std::memcpy(&v4, &endpoint.address, sizeof v4);
  inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host);
  return fmt::format("{}:{}", host, ntohs(v4.sin_port));
}

bool is_loopback(const Endpoint& endpoint) {
  if (endpoint.address.ss_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &endpoint.address, sizeof v6);
    return std::memcmp(&v6.sin6_addr, &in6addr_loopback, sizeof v6.sin6_addr) == 0;
  }
  sockaddr_in v4;
  std::memcpy(&v4, &endpoint.address, sizeof v4);
  return (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
}

bool is_any_address(const Endpoint& endpoint) {
  const std::string text = format_endpoint(endpoint);
  return text.starts_with("0.0.0.0:") || text.starts_with("[::]:");
}

Endpoint with_port(Endpoint endpoint, std::uint16_t port) {
  // The port is at the same place in both.
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  const std::uint16_t wire = htons(port);
  std::memcpy(reinterpret_cast<std::byte*>(&endpoint.address) + offsetof(sockaddr_in, sin_port), &wire, sizeof wire);
  return endpoint;
}

Result<UniqueFd> listen_tcp(const Endpoint& endpoint) {
  UniqueFd fd(::socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return unavailable("socket", errno);
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const std::string what = fmt::format("cannot listen on {}", format_endpoint(endpoint));
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&endpoint.address), endpoint.size) != 0)
    return unavailable(what, errno);
  if (::listen(fd.get(), kBacklog) != 0) return unavailable(what, errno);
  return fd;
}

Result<Endpoint> local_endpoint(int fd) {
  Endpoint endpoint;
  endpoint.size = sizeof endpoint.address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&endpoint.address), &endpoint.size) != 0) {
    return unavailable("getsockname", errno);
  }
  return endpoint;
}

Result<UniqueFd> connect_tcp(const Endpoint& endpoint, const Endpoint* from) {
  UniqueFd fd(::socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return unavailable("socket", errno);
  set_no_delay(fd.get());
  set_keep_alive(fd.get());
  if (from != nullptr && ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&from->address), from->size) != 0) {
    return unavailable(fmt::format("cannot come from {}", format_endpoint(*from)), errno);
  }
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&endpoint.address), endpoint.size) != 0 &&
      errno != EINPROGRESS) {
    return unavailable(fmt::format("cannot connect to {}", format_endpoint(endpoint)), errno);
  }
  return fd;
}

int socket_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

void keep_near(int fd) {
  Endpoint there;
  there.size = sizeof there.address;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&there.address), &there.size) != 0) return;
  const Result<Endpoint> here = local_endpoint(fd);
  if (!here.ok() || format_endpoint(with_port(*here, 0)) != format_endpoint(with_port(there, 0))) return;
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kHostSendBytes, sizeof kHostSendBytes);
}

void set_keep_alive(int fd) {
  const auto set = [fd](int level, int name, int value) { ::setsockopt(fd, level, name, &value, sizeof value); };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 5);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 2);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

void set_no_delay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Result<UniqueFd> listen_unix(std::string_view name) {
  socklen_t size = 0;
  MC_ASSIGN_OR_RETURN(const sockaddr_un address, unix_address(name, size));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return unavailable("socket", errno);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) return unavailable("bind", errno);
  if (::listen(fd.get(), kBacklog) != 0) return unavailable("listen", errno);
  return fd;
}

Result<UniqueFd> connect_unix(std::string_view name) {
  socklen_t size = 0;
  MC_ASSIGN_OR_RETURN(const sockaddr_un address, unix_address(name, size));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return unavailable("socket", errno);
  // A unix socket connects at once or not at all; a full backlog counts as not at all.
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) return unavailable("connect", errno);
  return fd;
}

}  // namespace mooncake::transfer
