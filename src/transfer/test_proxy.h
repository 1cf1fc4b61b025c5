// For tests: a TCP proxy that delays what each connection carries, each piece by a time of its own, in both directions.
// Connections come to it by an nft redirect, which remembers where they wanted to go; its own have a mark, so that the
// redirect can let them pass.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/rng.h"
#include "base/time.h"
#include "transfer/fd.h"

namespace mooncake::transfer {

class TestProxy {
 public:
  static constexpr int kMark = 1;

  /// Belongs to the network namespace of the calling thread. Pieces are late by 0 to `delay_max`.
  explicit TestProxy(Millis delay_max)
      : delay_max_(delay_max), listener_(std::move(*listen_tcp(*parse_endpoint("127.0.0.1:0")))) {
    thread_ = std::thread([this] { accept_all(); });
  }
  /// Ends all connections.
  ~TestProxy() {
    stop_ = true;
    thread_.join();
    for (std::thread& thread : pumps_) thread.join();
  }

  [[nodiscard]] int port() const {
    const std::string name = format_endpoint(*local_endpoint(listener_.get()));
    return std::stoi(name.substr(name.rfind(':') + 1));
  }
  [[nodiscard]] int connections() const { return connections_; }

 private:
  static constexpr int kOriginalDestination = 80;  // SO_ORIGINAL_DST: its header does not go with libc's
  static constexpr int kTurnMs = 20;               // how late the end is noticed

  void accept_all() {
    while (!stop_) {
      pollfd ready{.fd = listener_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&ready, 1, kTurnMs) != 1) continue;
      auto near = std::make_shared<UniqueFd>(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      auto far = std::make_shared<UniqueFd>(dial_for(near->get()));
      if (!far->valid()) continue;
      ++connections_;
      pumps_.emplace_back([this, near, far] { pump(near->get(), far->get()); });
      pumps_.emplace_back([this, near, far] { pump(far->get(), near->get()); });
    }
  }
  static int dial_for(int near) {
    sockaddr_in to{};
    socklen_t size = sizeof to;
    if (::getsockopt(near, SOL_IP, kOriginalDestination, &to, &size) != 0) return -1;
    UniqueFd far(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ::setsockopt(far.get(), SOL_SOCKET, SO_MARK, &kMark, sizeof kMark);
    if (::connect(far.get(), reinterpret_cast<const sockaddr*>(&to), size) != 0) return -1;
    set_no_delay(near);
    set_no_delay(far.get());
    return far.release();
  }
  /// Both sides of a connection end together.
  void pump(int from, int to) {
    Rng rng(random_seed());
    std::vector<char> piece(256u << 10);
    while (!stop_) {
      pollfd ready{.fd = from, .events = POLLIN, .revents = 0};
      if (::poll(&ready, 1, kTurnMs) != 1) continue;
      const ssize_t count = ::recv(from, piece.data(), piece.size(), MSG_DONTWAIT);
      if (count <= 0) break;
      std::this_thread::sleep_for(std::chrono::microseconds(rng.below(1'000 * delay_max_.count())));
      for (ssize_t sent = 0; sent < count && !stop_;) {
        ready = {.fd = to, .events = POLLOUT, .revents = 0};
        if (::poll(&ready, 1, kTurnMs) != 1) continue;
        const ssize_t more = ::send(to, piece.data() + sent, count - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (more <= 0) break;
        sent += more;
      }
    }
    ::shutdown(from, SHUT_RDWR);
    ::shutdown(to, SHUT_RDWR);
  }

  const Millis delay_max_;
  const UniqueFd listener_;
  std::atomic<bool> stop_{false};
  std::atomic<int> connections_{0};
  std::thread thread_;
  std::vector<std::thread> pumps_;  // of thread_ until it has ended
};

}  // namespace mooncake::transfer
