#include "transfer/connection.h"

#include <fmt/format.h>

#include <sys/uio.h>

#include <cerrno>

namespace mooncake::transfer {
namespace {

/// Takes the descriptors out of a received message.
void collect_fds(const msghdr& message, std::deque<UniqueFd>& fds) {
  for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr;
       control = CMSG_NXTHDR(const_cast<msghdr*>(&message), control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof fd);
      fds.emplace_back(fd);
    }
  }
}

bool is_unix_socket(int fd) {
  int domain = 0;
  socklen_t size = sizeof domain;
  return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

}  // namespace

std::shared_ptr<Connection> Connection::create(net::EventLoop& loop, std::unique_ptr<net::FdWatch> socket,
                                               Handler& handler, std::unique_ptr<TlsStream> tls) {
  return std::shared_ptr<Connection>(new Connection(loop, std::move(socket), handler, std::move(tls)));
}

Connection::Connection(net::EventLoop& loop, std::unique_ptr<net::FdWatch> watch, Handler& handler,
                       std::unique_ptr<TlsStream> tls)
    : loop_(loop),
      watch_(std::move(watch)),
      handler_(&handler),
      reader_(*this),
      tls_(std::move(tls)),
      takes_fds_(is_unix_socket(watch_->fd())) {
  reader_.limit_payload(kHelloBytesMax);
}

void Connection::start() {
  watch_->wait_readable([self = shared_from_this()] { self->read(); });
}

Status Connection::on_frame(const FrameHeader& header, std::string payload) {
  Status status = handler_->on_frame(*this, header, std::move(payload));
  if (!open()) return {Code::kCancelled, "closed"};  // by the handler; nothing more is to be read
  return status;
}

std::byte* Connection::on_bulk(const FrameHeader& header, const BulkRange& range) {
  return handler_->on_bulk(*this, header, range);
}

Status Connection::on_bulk_end(const FrameHeader& header, const BulkRange& range) {
  Status status = handler_->on_bulk_end(*this, header, range);
  if (!open()) return {Code::kCancelled, "closed"};
  return status;
}

Connection::Received Connection::receive(ByteSpan landing) {
  std::array<iovec, 2> both = {{{landing.data(), landing.size()}, {staging_.data(), staging_.size()}}};
  const std::span<iovec> pieces = std::span(both).subspan(landing.empty() ? 1 : 0);
  ssize_t count = 0;
  do {  // the plainest call that will do: a message and its answer are four of them
    if (takes_fds_) {
      count = receive_with_fds(pieces);
    } else if (landing.empty()) {
      count = ::recv(fd(), staging_.data(), staging_.size(), MSG_DONTWAIT);
    } else {
      count = ::readv(fd(), pieces.data(), static_cast<int>(pieces.size()));
    }
  } while (count < 0 && errno == EINTR);
  if (count < 0 && would_block(errno)) return {.drained = true};
  if (count < 0) return {.over = Status(Code::kPeerLost, fmt::format("the connection broke: {}", errno_text(errno)))};
  if (count == 0) return {.over = Status(Code::kPeerLost, "the peer closed the connection")};
  const auto got = static_cast<std::size_t>(count);
  // If it did not fill what there was, the socket is empty: no need to ask once more.
  return {.count = got, .drained = got < landing.size() + staging_.size()};
}

ssize_t Connection::receive_with_fds(std::span<iovec> pieces) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kReceivedFdsMax)> control;
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t count = ::recvmsg(fd(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (count > 0) collect_fds(message, fds_);
  return count;
}

Connection::Received Connection::receive_tls(ByteSpan landing) {
  TlsStream::Step step = tls_->read(fd(), landing, staging_);
  if (std::exchange(flush_after_input_, false)) flushing_ = false;
  if (tls_->must_send() || !out_.empty()) flush_soon();
  return {.count = step.count, .drained = step.blocked, .over = std::move(step.over)};
}

Status Connection::take_in(std::size_t count, std::size_t in_place) {
  if (fds_.size() > kReceivedFdsMax) return {Code::kExhausted, "too many file descriptors"};
  const std::size_t direct = std::min(count, in_place);
  if (direct > 0) MC_RETURN_IF_ERROR(reader_.landed(direct));
  return reader_.consume(ConstByteSpan(staging_).first(count - direct));
}

void Connection::read() {
  const std::shared_ptr<Connection> self = shared_from_this();  // the handler may drop us
  reading_ = true;
  read_some();
  reading_ = false;
  if (flush_after_read_) {
    flush_after_read_ = false;
    flush();
  }
}

void Connection::read_some() {
  std::size_t turn = 0;
  while (open()) {
    if (paused_ > 0) {
      waits_to_read_ = true;
      return;
    }
    const ByteSpan landing = reader_.landing();
    const Received received = tls_ ? receive_tls(landing) : receive(landing);
    if (!received.over.ok()) return fail(received.over, received.over.code() != Code::kPeerLost);
    if (const Status status = take_in(received.count, landing.size()); !status.ok()) {
      if (open()) fail(status, true);
      return;
    }
    if (!open()) return;
    if (received.drained) return start();
    turn += received.count;
    if (turn >= kTurnBytes) {
      loop_.post([self = shared_from_this()] { self->read(); });
      return;
    }
  }
}

void Connection::resume() {
  CHECK(paused_ > 0);
  if (--paused_ > 0 || !std::exchange(waits_to_read_, false)) return;
  loop_.post([self = shared_from_this()] { self->read(); });
}

void Connection::send_with_next(OutFrame frame) {
  if (open()) out_.push(std::move(frame));
}

void Connection::send(OutFrame frame) {
  if (!open()) return;
  out_.push(std::move(frame));
  if (out_.cost() > kQueuedBytesMax && !overfull_) {
    overfull_ = true;
    end_soon({Code::kExhausted, "the peer does not read what is sent to it"});
  }
  flush_soon();
}

void Connection::flush_soon() {
  if (flushing_) return;
  flushing_ = true;
  if (reading_) {  // what is said in answer to what came leaves when all of it has been read
    flush_after_read_ = true;
    return;
  }
  loop_.post([self = shared_from_this()] { self->flush(); });
}

void Connection::flush() {
  std::size_t turn = 0;
  while (open() && (!out_.empty() || (tls_ && tls_->must_send()))) {
    const std::size_t before = out_.bytes();
    switch (tls_ ? write_tls() : write_some()) {
      case Written::kSome:
        break;
      case Written::kFull:
        watch_->wait_writable([self = shared_from_this()] { self->flush(); });
        return;
      case Written::kWaitsForInput:
        flush_after_input_ = true;
        return;
      case Written::kBroken:
        return;  // and flushing_ stays set: nothing is written any more
    }
    turn += before - std::min(before, out_.bytes());
    if (turn >= kTurnBytes && open()) {
      loop_.post([self = shared_from_this()] { self->flush(); });
      return;
    }
  }
  flushing_ = false;
}

ssize_t Connection::send_pieces(std::span<iovec> pieces, int passed) {
  constexpr int kFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
  if (passed < 0 && pieces.size() == 1) return ::send(fd(), pieces[0].iov_base, pieces[0].iov_len, kFlags);
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  if (passed >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &passed, sizeof passed);
  }
  return ::sendmsg(fd(), &message, kFlags);
}

Connection::Written Connection::write_some() {
  int passed = -1;
  const std::span<iovec> pieces = out_.gather(passed);
  const ssize_t count = send_pieces(pieces, passed);
  if (count < 0) {
    if (errno == EINTR) return Written::kSome;
    if (would_block(errno)) return Written::kFull;
    end_soon({Code::kPeerLost, fmt::format("the connection broke: {}", errno_text(errno))});
    return Written::kBroken;
  }
  out_.sent(static_cast<std::size_t>(count),
            [this](const FrameHeader& header) { handler_->on_bulk_sent(*this, header); });
  return Written::kSome;
}

Connection::Written Connection::write_tls() {
  int passed = -1;
  const TlsStream::Step step = tls_->write(fd(), out_.gather(passed));
  CHECK(passed < 0);
  if (!step.over.ok()) {
    end_soon(step.over);
    return Written::kBroken;
  }
  out_.sent(step.count, [this](const FrameHeader& header) { handler_->on_bulk_sent(*this, header); });
  if (!step.blocked) return Written::kSome;
  return tls_->must_send() ? Written::kFull : Written::kWaitsForInput;
}

/// Ends the connection in a turn of its own, after reading what the other side said last: it may say why.
void Connection::end_soon(const Status& reason) {
  loop_.post([self = shared_from_this(), reason] {
    if (self->open()) self->read();
    if (self->open()) self->fail(reason, false);
  });
}

void Connection::fail(const Status& reason, bool tell) {
  const std::shared_ptr<Connection> self = shared_from_this();  // the handler may drop us
  close(reason, tell);
  handler_->on_closed(*this, reason);
}

void Connection::close(const Status& reason, bool tell) {
  if (!open()) return;
  if (tell) {
    FrameHeader header{.kind = FrameKind::kClose, .argument = static_cast<std::uint32_t>(reason.code())};
    // Best effort, and only between frames: a close in the middle of another frame would be read as its payload.
    if (out_.between_frames()) {
      const std::string bytes = out_.last(OutFrame::make(header, {}, reason.message().substr(0, kReasonBytesMax)));
      if (tls_) {
        tls_->write_last(fd(), bytes);
      } else {
        static_cast<void>(::send(fd(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
      }
    }
    ::shutdown(fd(), SHUT_WR);
    // Unread input would turn the close into a reset, which can overtake the reason.
    for (int i = 0; i < 64 && ::recv(fd(), staging_.data(), staging_.size(), MSG_DONTWAIT) > 0; ++i) {
    }
  }
  watch_->close();
}

UniqueFd Connection::take_fd() {
  if (fds_.empty()) return {};
  UniqueFd fd = std::move(fds_.front());
  fds_.pop_front();
  return fd;
}

}  // namespace mooncake::transfer
