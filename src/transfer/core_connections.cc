// How a Core's peers come by their connections: accepting, dialling, and joining what belongs together. See core.h.
#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "transfer/core.h"

namespace mooncake::transfer {

Core::HandshakePtr Core::new_handshake(ConnectionRole role, Handshake::Done done) {
  HandshakePtr handshake =
      Handshake::create(context_, role, [this, done = std::move(done)](Handshake& self, Result<Hello> hello) {
        handshakes_.erase(self.shared_from_this());
        done(self, std::move(hello));
      });
  handshakes_.insert(handshake);
  return handshake;
}

void Core::drop(Handshake& handshake, Code code, const std::string& why) {
  handshake.connection()->close({code, why}, true);
}

void Core::listen_on(UniqueFd socket, bool unix_socket) {
  Result<std::unique_ptr<net::FdWatch>> watch = context_.loop->watch(std::move(socket));
  if (!watch.ok()) return log_error("transfer: cannot accept connections: {}", watch.status().to_string());
  net::FdWatch& listener = **watch;
  listeners_.push_back(std::move(*watch));
  listener.wait_readable([this, &listener, unix_socket] { accept_all(listener, unix_socket); });
}

void Core::accept_all(net::FdWatch& listener, bool unix_socket) {
  for (;;) {
    UniqueFd socket(::accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket.valid()) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      break;
    }
    if (unix_socket && !peer_process(socket.get()).ok()) continue;  // another user's: abstract names are open to all
    const auto alike = std::ranges::count_if(
        handshakes_, [&](const HandshakePtr& one) { return (one->role() == ConnectionRole::kShm) == unix_socket; });
    if (static_cast<std::size_t>(alike) >= kHandshakesMax) continue;  // closed at once
    if (!unix_socket) {
      set_no_delay(socket.get());
      set_keep_alive(socket.get());
    }
    const ConnectionRole role = unix_socket ? ConnectionRole::kShm : ConnectionRole::kPrimary;
    new_handshake(role, [this, unix_socket](Handshake& handshake, const Result<Hello>& hello) {
      on_incoming(handshake, hello, unix_socket);
    })->accept(std::move(socket));
  }
  const bool pause = errno != EAGAIN && errno != EWOULDBLOCK;
  const auto wait = [this, &listener, unix_socket] {
    if (listener.fd() >= 0)
      listener.wait_readable([this, &listener, unix_socket] { accept_all(listener, unix_socket); });
  };
  if (!pause) return wait();
  log_warn("transfer: cannot accept a connection: {}", errno_text(errno));
  context_.loop->post_at(context_.loop->clock().now() + kAcceptPause, wait);
}

/// Whether a connection with that hello is of the live peer: of its epoch, and proven by the same identity.
bool Core::joins(const RemotePeer& peer, const Hello& hello) {
  return peer.live() && peer.hello().epoch == hello.epoch &&
         (hello.identity.empty() || hello.identity == peer.hello().identity);
}

Core::RemotePtr Core::by_epoch(std::uint64_t epoch) {
  const auto found = epochs_.find(epoch);
  return found == epochs_.end() ? nullptr : found->second;
}

Core::RemotePtr Core::remote(PeerHandle handle, const PeerName& name) {
  const auto found = remotes_.find(handle.value);
  if (found != remotes_.end()) return found->second;
  RemotePeer::Hooks hooks{
      .ending = [this](PeerHandle peer, bool was_live, const Status& why) { directory_.remove(peer, !was_live, why); },
      .ended = [this](PeerHandle peer, bool was_live, const Status& why) { ended(peer, was_live, why); },
      .joined =
          [this](PeerHandle peer) {
            const auto joined = remotes_.find(peer.value);
            if (joined != remotes_.end()) dial_more(joined->second);
          },
      .connection_lost =
          [this](PeerHandle peer, std::uint8_t rail) {
            const auto lost = remotes_.find(peer.value);
            if (lost != remotes_.end()) dial_later(lost->second, rail);
          },
      .post_reply = post_reply(),
  };
  RemotePtr peer = std::make_shared<RemotePeer>(context_, handle, name, std::move(hooks));
  remotes_.emplace(handle.value, peer);
  return peer;
}

void Core::on_incoming(Handshake& handshake, const Result<Hello>& hello, bool unix_socket) {
  if (!hello.ok()) {
    // Somebody who does not belong here is worth a line; a port scanner is not.
    const bool stranger = hello.status().code() == Code::kPermissionDenied;
    const std::string why = fmt::format("transfer: refused a connection: {}", hello.status().to_string());
    return stranger ? log_warn("{}", why) : log_debug("{}", why);
  }
  const bool shm = hello->role == ConnectionRole::kShm;
  if (shm != unix_socket) return drop(handshake, Code::kCorrupt, "the hello's role does not fit the socket");
  const RemotePtr peer = by_epoch(hello->epoch);
  if (peer && !joins(*peer, *hello)) return drop(handshake, Code::kPermissionDenied, "that epoch is somebody else's");
  if (peer && peer->is_with(hello->session)) {
    if (shm) return peer->add_shm(handshake.connection(), handshake.link());
    if (peer->connection_count() >= 2 * kConnectionsPerPeerMax) {
      return drop(handshake, Code::kExhausted, "too many connections from this peer");
    }
    peer->add(handshake.connection(), handshake.link());
    return;
  }
  if (hello->role != ConnectionRole::kPrimary) return drop(handshake, Code::kStale, "that epoch is not live here");
  if (hello->rail != 0) {  // where every peer dials first: there is no other that both sides have for sure
    return drop(handshake, Code::kCorrupt, fmt::format("a first connection on rail {}", hello->rail));
  }
  if (peer)
    peer->end({Code::kPeerLost, fmt::format("{} has lost this engine meanwhile, and begins anew", peer->name())});
  begin_incoming(handshake, *hello);
}

/// Any hello can name any endpoint. A tenant's is believed by its own kind alone: others find it by its handle.
bool Core::believes_endpoint(const Hello& hello) const {
  return !context_.credentials.keys.has_value() || hello.tenant == context_.hello.tenant;
}

/// Whether a hello of another epoch is of the live peer, as far as both have proven who they are.
bool Core::follows(const RemotePeer& peer, const Hello& hello) const {
  // Certificates are renewed; the node's name stays.
  if (context_.credentials.tls) return hello.node_name == peer.hello().node_name;
  return hello.identity == peer.hello().identity;
}

void Core::begin_incoming(Handshake& handshake, const Hello& hello) {
  const Result<Endpoint> endpoint = parse_endpoint(hello.listen);
  if (!endpoint.ok() || hello.listen == name())
    return drop(handshake, Code::kCorrupt, "the hello's endpoint cannot be its own");
  const PeerName peer_name = format_endpoint(*endpoint);
  if (!believes_endpoint(hello)) {
    const Result<PeerHandle> handle = directory_.add_unlisted(peer_name);
    if (!handle.ok()) return drop(handshake, Code::kExhausted, handle.status().message());
    return begin(remote(*handle, peer_name), hello, handshake);
  }
  Result<PeerDirectory::Found> found = directory_.find_or_add(peer_name);
  if (!found.ok()) return drop(handshake, Code::kExhausted, found.status().message());
  RemotePtr peer = remote(found->handle, peer_name);
  if (peer->live()) {  // of another epoch: that process is gone, or about to be noticed gone
    if (!follows(*peer, hello)) {
      return drop(handshake, Code::kUnavailable, fmt::format("{} is live at {}", peer->hello().node_name, peer_name));
    }
    const Result<PeerHandle> handle = directory_.add(peer_name);
    if (!handle.ok()) return drop(handshake, Code::kExhausted, handle.status().message());
    peer = remote(*handle, peer_name);
  }
  begin(peer, hello, handshake);
}

void Core::begin(const RemotePtr& peer, const Hello& hello, Handshake& handshake) {
  epochs_[hello.epoch] = peer;
  if (!handshake.link().dialled) peer->is_with(hello.session);
  peer->begin(hello, handshake.connection(), handshake.link());
  if (peer->live() && peer->wants_shm() && context_.hello.epoch > hello.epoch) dial_shm(peer);
}

void Core::dial(PeerHandle handle, const PeerName& name) {
  if (stopping_ || directory_.name_of(handle).empty()) return;  // it came to us first, and has gone again
  const RemotePtr peer = remote(handle, name);
  if (peer->live()) return;  // it came to us first
  Result<UniqueFd> socket = connect_on(*peer, 0);
  if (!socket.ok()) return peer->end(socket.status());
  new_handshake(ConnectionRole::kPrimary, [this, peer](Handshake& handshake, const Result<Hello>& hello) {
    on_outgoing(handshake, hello, peer);
  })->dial(std::move(*socket), 0, peer->session());
}

void Core::on_outgoing(Handshake& handshake, const Result<Hello>& hello, const RemotePtr& peer) {
  if (!hello.ok()) {
    if (peer->live()) return;  // it came to us meanwhile
    const Code code = hello.status().code() == Code::kPeerLost ? Code::kUnavailable : hello.status().code();
    return peer->end(Status(code, fmt::format("cannot connect to {}: {}", peer->name(), hello.status().message())));
  }
  if (joins(*peer, *hello)) {
    peer->add(handshake.connection(), handshake.link());
    return;
  }
  if (peer->live() || peer->over()) return drop(handshake, Code::kStale, "this connection came too late");
  if (hello->listen != peer->name() || by_epoch(hello->epoch) != nullptr) {
    const std::string why = fmt::format("{} answers as {}", peer->name(), hello->listen);
    drop(handshake, Code::kUnavailable, why);
    return peer->end({Code::kUnavailable, why});
  }
  begin(peer, *hello, handshake);
}

/// A rail joins endpoints of equal rank; who has fewer than the other uses them in turn.
Result<UniqueFd> Core::connect_on(const RemotePeer& peer, std::uint8_t rail) const {
  const Hello& theirs = peer.hello();
  const Hello& ours = context_.hello;
  const std::size_t there = rail % (theirs.rails.size() + 1);
  MC_ASSIGN_OR_RETURN(const Endpoint to, parse_endpoint(there == 0 ? peer.name() : theirs.rails[there - 1]));
  if (ours.rails.empty()) return connect_tcp(to);
  const std::size_t here = rail % (ours.rails.size() + 1);
  MC_ASSIGN_OR_RETURN(const Endpoint own, parse_endpoint(here == 0 ? ours.listen : ours.rails[here - 1]));
  const Endpoint from = with_port(own, 0);
  return connect_tcp(to, &from);
}

/// Only once the peer has our hello: those that overtake it on their way would join an epoch that it does not know.
void Core::dial_more(const RemotePtr& peer) {
  const std::size_t rails = std::max(peer->hello().rails.size(), context_.hello.rails.size()) + 1;
  for (std::size_t rail = 0; rail < rails; ++rail) dial_extra(peer, static_cast<std::uint8_t>(rail));
}

void Core::dial_extra(const RemotePtr& peer, std::uint8_t rail) {
  for (std::size_t count = peer->connection_count(rail); count < context_.config.connections_per_peer; ++count) {
    Result<UniqueFd> socket = connect_on(*peer, rail);
    if (!socket.ok()) {
      log_debug("transfer: {}", socket.status().to_string());
      return dial_later(peer, rail);
    }
    new_handshake(ConnectionRole::kExtra, [this, peer, rail](Handshake& handshake, const Result<Hello>& hello) {
      if (!hello.ok()) return dial_later(peer, rail);
      if (!joins(*peer, *hello)) return drop(handshake, Code::kStale, "another epoch");
      peer->redials().on_made(rail);
      peer->add(handshake.connection(), handshake.link());
    })->dial(std::move(*socket), rail, peer->session());
  }
}

void Core::dial_later(const RemotePtr& peer, std::uint8_t rail) {
  if (!peer->live()) return;
  const std::optional<Millis> pause = peer->redials().on_lost(rail);
  if (!pause.has_value()) return;
  context_.loop->post_at(context_.loop->clock().now() + *pause, [this, weak = std::weak_ptr(peer), rail] {
    const RemotePtr again = weak.lock();
    if (!again || !again->live()) return;
    again->redials().on_due(rail);
    dial_extra(again, rail);
  });
}

void Core::dial_shm(const RemotePtr& peer) {
  Result<UniqueFd> socket = connect_unix(peer->hello().shm_socket);
  if (!socket.ok()) {
    log_debug("transfer: no shm with {}: {}", peer->name(), socket.status().to_string());
    return peer->no_shm(true);
  }
  new_handshake(ConnectionRole::kShm, [peer](Handshake& handshake, const Result<Hello>& hello) {
    if (!peer->live()) {
      if (hello.ok()) drop(handshake, Code::kStale, "the peer is gone");
      return;
    }
    if (!hello.ok()) return peer->no_shm(true);
    if (!joins(*peer, *hello)) {
      drop(handshake, Code::kStale, "another epoch");
      return peer->no_shm(true);
    }
    peer->add_shm(handshake.connection(), handshake.link());
  })->dial(std::move(*socket), 0, peer->session());
}

}  // namespace mooncake::transfer
