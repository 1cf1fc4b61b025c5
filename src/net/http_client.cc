#include "net/http_client.h"

#include <fmt/core.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>

namespace mooncake::net {
namespace {

namespace http = boost::beast::http;

/// A whole answer beyond this size is a mistake: the largest we ask for, a log of decisions, is under 10 MiB.
constexpr std::uint64_t kBodyBytesMax = 256u << 20;
constexpr std::uint32_t kHeaderBytesMax = 64u << 10;
constexpr std::size_t kReadBytes = 64u << 10;

std::string errno_text(int error) { return std::generic_category().message(error); }

struct Target {
  std::string host;
  std::string port;
  std::string path;  ///< with the query
};

Result<Target> parse_url(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) {
    return Status(Code::kInvalidArgument, fmt::format("\"{}\" is not a URL of the form http://host:port/path", url));
  }
  const std::string_view rest = url.substr(kScheme.size());
  const std::string_view authority = rest.substr(0, rest.find('/'));
  Target target;
  target.path = rest.size() > authority.size() ? std::string(rest.substr(authority.size())) : "/";
  // The colon of a port comes after the bracket of an IPv6 address.
  const std::size_t bracket = authority.rfind(']');
  const std::size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  target.host = authority.substr(0, colon);
  target.port = colon == std::string_view::npos ? "80" : std::string(authority.substr(colon + 1));
  if (target.host.size() > 2 && target.host.front() == '[') target.host = target.host.substr(1, target.host.size() - 2);
  const bool digits = std::ranges::all_of(target.port, [](char c) { return c >= '0' && c <= '9'; });
  if (target.host.empty() || target.port.empty() || !digits) {
    return Status(Code::kInvalidArgument, fmt::format("\"{}\" does not name a host and port", url));
  }
  return target;
}

/// A non-blocking TCP socket whose operations wait until `deadline`. Closed by its destructor.
class Socket {
 public:
  explicit Socket(Deadline deadline) : deadline_(deadline) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  Status connect_to(const Target& target) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int error = getaddrinfo(target.host.c_str(), target.port.c_str(), &hints, &found); error != 0) {
      return {Code::kUnavailable, fmt::format("cannot resolve {}: {}", target.host, gai_strerror(error))};
    }
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, freeaddrinfo);
    Status status(Code::kUnavailable, fmt::format("{} has no address", target.host));
    for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
      status = connect_address(*address).annotate(fmt::format("{}:{}", target.host, target.port));
      if (status.ok() || status.code() == Code::kDeadlineExceeded) break;
    }
    return status;
  }

  /// What was sent before a failure is not told. A peer that answers early and closes is not a failure: read() it.
  Status send_all(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t size = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (size >= 0) {
        bytes.remove_prefix(static_cast<std::size_t>(size));
      } else if (errno == EAGAIN) {
        MC_RETURN_IF_ERROR(wait_for(POLLOUT));
      } else if (errno == EPIPE || errno == ECONNRESET) {
        return {};
      } else if (errno != EINTR) {
        return {Code::kPeerLost, "cannot send: " + errno_text(errno)};
      }
    }
    return {};
  }

  /// @return the number of bytes read; 0 at the end.
  Result<std::size_t> read(char* into, std::size_t room) {
    while (true) {
      // Asked each time: a peer that never pauses must not outrun the deadline.
      if (SteadyClock().now() >= deadline_) return Status(Code::kDeadlineExceeded, "no complete answer in time");
      const ssize_t size = recv(fd_, into, room, 0);
      if (size >= 0) return static_cast<std::size_t>(size);
      if (errno == EAGAIN) {
        MC_RETURN_IF_ERROR(wait_for(POLLIN));
      } else if (errno != EINTR) {
        return Status(Code::kPeerLost, "the connection broke: " + errno_text(errno));
      }
    }
  }

 private:
  Status connect_address(const addrinfo& address) {
    if (fd_ >= 0) close(fd_);
    fd_ = socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) return {Code::kUnavailable, "cannot make a socket: " + errno_text(errno)};
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd_, address.ai_addr, address.ai_addrlen) == 0) return {};
    if (errno != EINPROGRESS) return {Code::kUnavailable, errno_text(errno)};
    MC_RETURN_IF_ERROR(wait_for(POLLOUT));
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return {Code::kUnavailable, errno_text(error)};
    return {};
  }

  Status wait_for(short events) const {
    pollfd waiting{fd_, events, 0};
    while (true) {
      const std::int64_t left_ms = remaining_ms(deadline_, SteadyClock().now());
      // Rounded up, so that the last millisecond is not spent spinning; in steps of a minute, because poll takes an
      // int.
      const int ready = poll(&waiting, 1, static_cast<int>(std::min<std::int64_t>(left_ms + 1, 60'000)));
      if (ready > 0) return {};
      if (ready < 0 && errno != EINTR) return {Code::kUnavailable, "cannot wait: " + errno_text(errno)};
      if (SteadyClock().now() >= deadline_) return {Code::kDeadlineExceeded, "no answer in time"};
    }
  }

  const Deadline deadline_;
  int fd_ = -1;
};

std::string request_text(std::string_view method, const Target& target, const HttpHeaders& headers,
                         std::string_view body) {
  const bool v6 = target.host.find(':') != std::string::npos;
  std::string text = fmt::format("{} {} HTTP/1.1\r\nHost: {}{}{}:{}\r\nConnection: close\r\n", method, target.path,
                                 v6 ? "[" : "", target.host, v6 ? "]" : "", target.port);
  for (const auto& [name, value] : headers) text.append(fmt::format("{}: {}\r\n", name, value));
  if (!body.empty() || method == "POST" || method == "PUT") {
    text.append(fmt::format("Content-Length: {}\r\n", body.size()));
  }
  return text.append("\r\n").append(body);
}

class AnswerReader {
 public:
  AnswerReader(std::string_view method, const HttpBodySink& sink) : sink_(sink) {
    parser_.header_limit(kHeaderBytesMax);
    if (sink_) {
      parser_.body_limit(boost::none);  // streams end when they end
    } else {
      parser_.body_limit(kBodyBytesMax);
    }
    parser_.eager(true);
    parser_.skip(method == "HEAD");
  }

  /// Reads until the answer is complete.
  Result<HttpResponse> read(Socket& socket) {
    const std::unique_ptr<char[]> room(new char[kReadBytes]);
    while (!parser_.is_done()) {
      MC_ASSIGN_OR_RETURN(const std::size_t size, socket.read(room.get(), kReadBytes));
      if (size == 0) {
        boost::system::error_code error;
        if (parser_.got_some()) parser_.put_eof(error);
        if (error || !parser_.is_done()) return Status(Code::kPeerLost, "the connection ended before the answer did");
      } else {
        MC_RETURN_IF_ERROR(feed({room.get(), size}));
      }
      MC_RETURN_IF_ERROR(drain());
    }
    return response();
  }

 private:
  Status feed(std::string_view bytes) {
    pending_.append(bytes);
    while (!pending_.empty() && !parser_.is_done()) {
      boost::system::error_code error;
      const std::size_t used = parser_.put(boost::asio::const_buffer(pending_.data(), pending_.size()), error);
      pending_.erase(0, used);
      if (error && error != http::error::need_more) {
        return {Code::kCorrupt, "the answer is not valid HTTP/1.1: " + error.message()};
      }
      if (used == 0) break;
    }
    return {};
  }

  Status drain() {
    std::string& body = parser_.get().body();
    if (!sink_ || body.empty()) return {};
    if (!sink_(body)) return {Code::kCancelled, "stopped by the reader"};
    body.clear();
    return {};
  }

  HttpResponse response() {
    auto& message = parser_.get();
    HttpResponse response;
    response.status = message.result_int();
    for (const auto& field : message) {
      std::string name(field.name_string().data(), field.name_string().size());
      std::ranges::transform(name, name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
      response.headers[name] = std::string(field.value().data(), field.value().size());
    }
    response.body = std::move(message.body());
    return response;
  }

  const HttpBodySink& sink_;
  http::response_parser<http::string_body> parser_;
  std::string pending_;
};

}  // namespace

Result<HttpResponse> http_request(std::string_view method, std::string_view url, const HttpHeaders& headers,
                                  std::string_view body, Deadline deadline, const HttpBodySink& sink) {
  MC_ASSIGN_OR_RETURN(const Target target, parse_url(url));
  Socket socket(deadline);
  const std::string context = fmt::format("{} {}", method, url);
  if (Status status = socket.connect_to(target); !status.ok()) return status.annotate(context);
  if (Status status = socket.send_all(request_text(method, target, headers, body)); !status.ok()) {
    return status.annotate(context);
  }
  AnswerReader reader(method, sink);
  Result<HttpResponse> response = reader.read(socket);
  if (!response.ok()) return response.status().annotate(context);
  return response;
}

}  // namespace mooncake::net
