#include "transfer/handshake.h"

#include <fmt/format.h>

#include "base/rng.h"

namespace mooncake::transfer {

std::shared_ptr<Handshake> Handshake::create(Context& context, ConnectionRole role, Done done) {
  return std::shared_ptr<Handshake>(new Handshake(context, role, std::move(done)));
}

bool Handshake::watch(UniqueFd socket) {
  Result<std::unique_ptr<net::FdWatch>> watch = context_.loop->watch(std::move(socket));
  if (!watch.ok()) {
    finish(watch.status());
    return false;
  }
  dialing_ = std::move(*watch);
  timer_ = context_.loop->post_at(context_.loop->clock().now() + kConnectTimeout, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) {
      self->finish(Status(Code::kUnavailable, fmt::format("no hello within {} ms", kConnectTimeout.count())));
    }
  });
  return true;
}

void Handshake::dial(UniqueFd socket, std::uint8_t rail, std::uint64_t session) {
  link_ = {.id = random_seed() | 1, .rail = rail, .session = session, .dialled = true};  // never 0
  if (!watch(std::move(socket))) return;
  dialing_->wait_writable([self = shared_from_this()] {
    if (!self->dialing_) return;
    if (const int error = socket_error(self->dialing_->fd()); error != 0) {
      return self->finish(Status(Code::kUnavailable, errno_text(error)));
    }
    self->greet();
  });
}

void Handshake::accept(UniqueFd socket) {
  if (watch(std::move(socket))) greet();
}

void Handshake::greet() {
  connection_ = Connection::create(*context_.loop, std::move(dialing_), *this);
  Hello hello = context_.hello;
  hello.role = role_;
  hello.connection = link_.id;
  hello.session = link_.session;
  hello.rail = link_.rail;
  connection_->send(OutFrame::make({.version = kHelloVersion, .kind = FrameKind::kHello}, {}, encode_hello(hello)));
  connection_->start();
}

Status Handshake::on_frame(Connection& /*from*/, const FrameHeader& header, std::string payload) {
  if (header.kind == FrameKind::kClose) {
    finish(
        decode_status(header.argument == 0 ? static_cast<std::uint32_t>(Code::kPeerLost) : header.argument, payload));
    return {};
  }
  if (header.kind != FrameKind::kHello) {
    const Status wrong(Code::kCorrupt, fmt::format("a {} frame before the hello", frame_kind_name(header.kind)));
    finish(wrong);
    return {};
  }
  Result<Hello> hello = decode_hello(as_bytes(payload));
  if (hello.ok()) {
    if (const Status status = check(*hello); !status.ok()) hello = status;
    if (!link_.dialled && hello.ok()) link_ = {.id = hello->connection, .rail = hello->rail, .session = hello->session};
  }
  finish(std::move(hello));
  return {};
}

Status Handshake::check(const Hello& hello) const {
  MC_RETURN_IF_ERROR(common_version(hello).ok() ? Status() : common_version(hello).status());
  if (hello.cluster_id != context_.config.cluster_id) {
    return {Code::kPermissionDenied,
            fmt::format("this is cluster \"{}\", not \"{}\"", context_.config.cluster_id, hello.cluster_id)};
  }
  // A dial to a free port can meet itself (TCP simultaneous open): nobody listens there.
  if (hello.epoch == context_.hello.epoch) return {Code::kUnavailable, "the connection leads back to this process"};
  if (!link_.dialled && hello.connection == 0) return {Code::kCorrupt, "the hello does not name its connection"};
  return {};
}

Status Handshake::on_bulk_end(Connection&, const FrameHeader&, const BulkRange&) {
  return {Code::kCorrupt, "a bulk frame before the hello"};
}

void Handshake::on_closed(Connection& /*from*/, const Status& reason) {
  const Code code = reason.code() == Code::kPeerLost ? Code::kUnavailable : reason.code();
  finish(Status(code, reason.message()));
}

void Handshake::finish(Result<Hello> result) {
  if (!done_) return;
  const std::shared_ptr<Handshake> self = shared_from_this();  // `done` drops us
  const Done done = std::exchange(done_, nullptr);
  context_.loop->cancel(timer_);
  if (!result.ok()) {
    if (dialing_) dialing_->close();
    if (connection_) connection_->close(result.status(), true);
  }
  done(*this, std::move(result));
}

void Handshake::cancel() {
  done_ = nullptr;
  context_.loop->cancel(timer_);
  if (dialing_) dialing_->close();
  if (connection_) connection_->close({Code::kCancelled, "the engine ends"}, true);
}

}  // namespace mooncake::transfer
