// For tests: a peer that speaks the protocol by hand, over blocking sockets, and so can break it at will.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <string>

#include "base/rng.h"
#include "transfer/fd.h"
#include "transfer/frame.h"
#include "transfer/host.h"
#include "transfer/out_queue.h"

namespace mooncake::transfer {

class FakePeer {
 public:
  /// Listens, so that it can name an endpoint in its hello.
  FakePeer() {
    listener_ = std::move(*listen_tcp(*parse_endpoint("127.0.0.1:0")));
    hello_.listen = format_endpoint(*local_endpoint(listener_.get()));
    hello_.node_name = "fake";
    hello_.cluster_id = "default";
    hello_.epoch = random_seed() | 1;
    hello_.connection = random_seed() | 1;
    hello_.session = random_seed() | 1;
  }

  Hello& hello() { return hello_; }
  [[nodiscard]] const std::string& name() const { return hello_.listen; }

  /// Takes the engine's connection and exchanges hellos.
  void accept() {
    block(listener_.get());
    socket_ = UniqueFd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    greet();
  }
  /// Whether a connection waits for accept().
  [[nodiscard]] bool is_dialled() const {
    pollfd listener{.fd = listener_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&listener, 1, 0) == 1;
  }
  /// Connects to the engine; no hello yet.
  void dial(const std::string& engine) {
    socket_ = std::move(*connect_tcp(*parse_endpoint(engine)));
    block(socket_.get());
  }
  /// The same to its unix socket.
  void dial_unix(const std::string& socket) {
    socket_ = std::move(*connect_unix(socket));
    block(socket_.get());
  }
  /// As greet(), but with the boot id of this host.
  void greet_as_neighbour() {
    hello_.boot_id = read_boot_id();
    greet();
  }
  /// Sends our hello and takes the engine's.
  void greet() {
    block(socket_.get());
    send({.version = kHelloVersion, .kind = FrameKind::kHello}, encode_hello(hello_));
    const Frame frame = receive();
    ASSERT_EQ(frame.header.kind, FrameKind::kHello);
    engine_hello_ = *decode_hello(as_bytes(frame.payload));
  }
  [[nodiscard]] const Hello& engine_hello() const { return engine_hello_; }

  void send(const FrameHeader& header, std::string payload = {}) {
    const OutFrame frame = OutFrame::make(header, {}, std::move(payload));
    send_raw(std::string_view(reinterpret_cast<const char*>(frame.head.data()), frame.head_bytes));
    send_raw(frame.payload);
  }
  /// The engine may have closed: no error then.
  void send_raw(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }

  /// A frame with a descriptor.
  void send_with_fd(const FrameHeader& header, const std::string& payload, int fd) {
    const OutFrame frame = OutFrame::make(header, as_bytes(payload));
    iovec piece{const_cast<std::byte*>(frame.head.data()), frame.head_bytes};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    EXPECT_EQ(::sendmsg(socket_.get(), &message, MSG_NOSIGNAL), static_cast<ssize_t>(frame.head_bytes));
  }
  /// The descriptor that comes with the next bytes, which are dropped.
  UniqueFd receive_fd() {
    std::array<std::byte, kHeaderBytes> bytes;
    iovec piece{bytes.data(), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (::recvmsg(socket_.get(), &message, 0) <= 0) return {};
    const cmsghdr* rights = CMSG_FIRSTHDR(&message);
    if (rights == nullptr || rights->cmsg_type != SCM_RIGHTS) return {};
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
    return UniqueFd(fd);
  }

  struct Frame {
    FrameHeader header;
    std::string payload;
    bool end = false;  ///< the engine closed the connection
  };
  Frame receive() {
    Frame frame = receive_header();
    if (!frame.end) receive_payload(frame);
    return frame;
  }
  /// A header alone: its payload waits in the engine. What the engine says first on every connection is passed over.
  Frame receive_header() {
    Frame frame = receive_any_header();
    if (frame.end || frame.header.kind != FrameKind::kJoined) return frame;
    receive_payload(frame);
    return receive_any_header();
  }
  void receive_payload(Frame& frame) {
    frame.payload.resize(frame.header.length);
    frame.end = !receive_raw(frame.payload.data(), frame.payload.size());
  }
  /// The next frame of that kind; others before it are dropped.
  Frame receive(FrameKind kind) {
    for (;;) {
      Frame frame = receive();
      if (frame.end || frame.header.kind == kind) return frame;
    }
  }
  /// Bytes that are no frame. @return whether they came.
  bool receive_bytes(ByteSpan to) { return receive_raw(to.data(), to.size()); }
  /// Why the engine closed the connection; ok if it did so without a word.
  Status receive_close() {
    const Frame frame = receive(FrameKind::kClose);
    return frame.end ? Status() : decode_status(frame.header.argument, frame.payload);
  }

  /// Closes with a reset.
  void reset() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    socket_ = UniqueFd();
  }

 protected:
  /// The next header, whatever it is of.
  Frame receive_any_header() {
    Frame frame;
    HeaderBytes bytes;
    frame.end = !receive_raw(bytes.data(), bytes.size());
    if (frame.end) return frame;
    const Result<FrameHeader> header = decode_header(bytes);
    EXPECT_TRUE(header.ok()) << header.status().to_string();
    frame.end = !header.ok();
    if (header.ok()) frame.header = *header;
    return frame;
  }

 private:
  bool receive_raw(void* to, std::size_t size) {
    if (size == 0) return true;
    return ::recv(socket_.get(), to, size, MSG_WAITALL) == static_cast<ssize_t>(size);
  }
  /// Blocking, but not for ever: a test that waits has failed.
  static void block(int fd) {
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }

  UniqueFd listener_;
  UniqueFd socket_;
  Hello hello_;
  Hello engine_hello_;
};

/// The payload of a write, read or grant frame.
inline std::string range_payload(const BulkRange& range, std::string_view data = {}) {
  std::array<std::byte, kRangeBytes> bytes;
  encode_range(range, bytes);
  std::string payload(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return payload.append(data);
}

/// The payload of a pull: "copy that source into that range".
inline std::string pull_payload(const BulkRange& range, const ShmSource& source) {
  std::array<std::byte, kSourceBytes> bytes;
  encode_source(source, bytes);
  return range_payload(range, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace mooncake::transfer
