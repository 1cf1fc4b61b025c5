// Raw sockets for tests: say exactly these bytes, see exactly those. Waits at most kTestPatience, then fails the test.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace mooncake::net {

/// Nothing on the loopback takes this long, even under sanitizers on a busy machine.
inline constexpr int kTestPatienceMs = 20'000;

/// A connected TCP socket. Closed by its destructor.
class TestSocket {
 public:
  explicit TestSocket(int fd) : fd_(fd) {}
  TestSocket(TestSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  TestSocket& operator=(TestSocket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~TestSocket() { hang_up(); }

  /// Connects to "127.0.0.1:port".
  static TestSocket connect_to(const std::string& endpoint) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1))));
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << endpoint;
    return TestSocket(fd);
  }

  /// @return false if the peer has closed.
  bool say(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t size = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (size <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(size));
    }
    return true;
  }

  /// Reads until what has come ends with `end`; returns all of it. What comes before the peer closes, otherwise.
  std::string hear_until(std::string_view end) {
    std::string heard;
    while (!heard.ends_with(end)) {
      const std::string piece = hear_some(1);
      if (piece.empty()) return heard;
      heard += piece;
    }
    return heard;
  }

  /// Everything until the peer closes.
  std::string hear_all() {
    std::string heard;
    while (true) {
      const std::string piece = hear_some(64 << 10);
      if (piece.empty()) return heard;
      heard += piece;
    }
  }

  /// The next bytes, at most `room`; empty at the end.
  std::string hear_some(std::size_t room) {
    pollfd waiting{fd_, POLLIN, 0};
    if (poll(&waiting, 1, kTestPatienceMs) != 1) {
      ADD_FAILURE() << "heard nothing for " << kTestPatienceMs << " ms";
      return {};
    }
    std::string bytes(room, '\0');
    const ssize_t size = recv(fd_, bytes.data(), bytes.size(), 0);
    bytes.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return bytes;
  }

  void hang_up() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

/// Listens on a free loopback port.
class TestListener {
 public:
  TestListener() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(fd_, 16), 0);
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
  }
  TestListener(const TestListener&) = delete;
  ~TestListener() { close(fd_); }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  TestSocket accept_one() { return TestSocket(accept(fd_, nullptr, nullptr)); }

 private:
  int fd_;
  std::uint16_t port_ = 0;
};

}  // namespace mooncake::net
