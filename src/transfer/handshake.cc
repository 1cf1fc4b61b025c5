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
    const auto self = weak.lock();
    if (!self) return;
    const Status late(Code::kUnavailable, fmt::format("no hello within {} ms", kConnectTimeout.count()));
    // Without a word: the other side may have all it needs, and would take the reason for one to part.
    if (self->connection_) self->connection_->close(late, false);
    self->finish(late);
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
  if (role_ != ConnectionRole::kShm) keep_near(dialing_->fd());
  std::unique_ptr<TlsStream> tls;
  if (context_.credentials.tls && role_ != ConnectionRole::kShm) {
    Result<std::unique_ptr<TlsStream>> made = TlsStream::create(*context_.credentials.tls, link_.dialled);
    if (!made.ok()) return finish(made.status());
    tls = std::move(*made);
  }
  connection_ = Connection::create(*context_.loop, std::move(dialing_), *this, std::move(tls));
  Hello hello = context_.hello;
  hello.role = role_;
  hello.connection = link_.id;
  hello.session = link_.session;
  hello.rail = link_.rail;
  hello.nonce = random_bytes<32>();
  our_hello_ = encode_hello(hello);
  connection_->send(OutFrame::make({.version = kHelloVersion, .kind = FrameKind::kHello}, {}, our_hello_));
  connection_->start();
}

Status Handshake::on_frame(Connection& /*from*/, const FrameHeader& header, std::string payload) {
  if (header.kind == FrameKind::kClose) {
    finish(
        decode_status(header.argument == 0 ? static_cast<std::uint32_t>(Code::kPeerLost) : header.argument, payload));
    return {};
  }
  const FrameKind expected = session_.has_value() ? FrameKind::kProof : FrameKind::kHello;
  Status status(Code::kCorrupt,
                fmt::format("a {} frame before the {}", frame_kind_name(header.kind), frame_kind_name(expected)));
  if (header.kind == expected) status = session_.has_value() ? on_proof(payload) : on_hello(payload);
  if (!status.ok()) finish(status);
  return {};
}

Status Handshake::on_hello(const std::string& payload) {
  MC_ASSIGN_OR_RETURN(hello_, decode_hello(as_bytes(payload)));
  MC_RETURN_IF_ERROR(check(hello_));
  if (!link_.dialled) link_ = {.id = hello_.connection, .rail = hello_.rail, .session = hello_.session};
  if (const TlsStream* tls = connection_->tls()) {
    MC_RETURN_IF_ERROR(check_names(tls->peer_names(), hello_.node_name));
    hello_.identity = tls->peer_fingerprint();
  }
  if (context_.credentials.keys.has_value()) return prove(payload);
  finish(hello_);
  return {};
}

/// Both hellos are known: shows that we hold the key, and seals what follows.
Status Handshake::prove(const std::string& their_hello) {
  MC_ASSIGN_OR_RETURN(const std::string key, context_.credentials.keys->key_for(hello_.tenant, link_.dialled));
  const std::string& dialer = link_.dialled ? our_hello_ : their_hello;
  const std::string& accepter = link_.dialled ? their_hello : our_hello_;
  session_ = derive_session(as_bytes(key), dialer, accepter);
  const Session::Side& ours = link_.dialled ? session_->dialer : session_->accepter;
  connection_->send(OutFrame::make({.kind = FrameKind::kProof}, ours.proof));
  connection_->seal_with(std::make_unique<FrameMac>(ours.key));
  return {};
}

Status Handshake::on_proof(std::string_view payload) {
  const Session::Side& theirs = link_.dialled ? session_->accepter : session_->dialer;
  if (!equal_secrets(as_bytes(payload), theirs.proof)) {
    return {Code::kPermissionDenied,
            "the other side holds another secret: the file of --auth-secret-file must be the same "
            "in the whole cluster, and a tenant's key made from it"};
  }
  connection_->open_with(std::make_unique<FrameMac>(theirs.key));
  hello_.identity = fmt::format("tenant {}", hello_.tenant);
  finish(hello_);
  return {};
}

Status Handshake::check(const Hello& hello) const {
  MC_RETURN_IF_ERROR(common_version(hello).ok() ? Status() : common_version(hello).status());
  if (hello.auth != context_.credentials.mode) {
    return {Code::kPermissionDenied,
            fmt::format("{} runs with --auth {}, {} with --auth {}: both need the same", context_.config.node_name,
                        auth_mode_name(context_.credentials.mode), hello.node_name, auth_mode_name(hello.auth))};
  }
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
  if (result.ok()) {
    connection_->trust();
  } else {
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
