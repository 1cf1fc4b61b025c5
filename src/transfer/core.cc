#include "transfer/core.h"

#include <fmt/format.h>

#include <cerrno>
#include <future>

#include "base/log.h"
#include "base/rng.h"
#include "transfer/host.h"

namespace mooncake::transfer {

Core::Core(TransferConfig config, Executor* executor) : context_(std::move(config), executor, random_seed()) {}

Status Core::start() {
  const TransferConfig& config = context_.config;
  static_assert(kFencesMax == 2 * kConnectionsPerPeerMax, "a peer may lose all connections that it may have");
  if (config.connections_per_peer < 1 || config.connections_per_peer > kConnectionsPerPeerMax) {
    return {Code::kInvalidArgument, fmt::format("connections_per_peer must be 1 to {}", kConnectionsPerPeerMax)};
  }
  if (config.node_name.empty() || config.node_name.size() > kHelloStringMax ||
      config.cluster_id.size() > kHelloStringMax) {
    return {Code::kInvalidArgument, fmt::format("node_name and cluster_id have at most {} bytes", kHelloStringMax)};
  }
  if (config.rails.size() >= kEndpointsMax) {
    return {Code::kInvalidArgument,
            fmt::format("{} further rails, at most {} are allowed", config.rails.size(), kEndpointsMax - 1)};
  }
  MC_ASSIGN_OR_RETURN(context_.credentials, Credentials::load(config.auth, config.node_name));
  Hello& hello = context_.hello;
  hello.epoch = random_seed() | 1;  // never 0
  hello.boot_id = read_boot_id();
  hello.cluster_id = config.cluster_id;
  hello.node_name = config.node_name;
  hello.auth = config.auth.mode;
  hello.tenant = config.auth.tenant;
  MC_ASSIGN_OR_RETURN(hello.listen, listen_at(config.listen));
  for (const std::string& where : config.rails) {
    MC_ASSIGN_OR_RETURN(std::string endpoint, listen_at(where));
    hello.rails.push_back(std::move(endpoint));
  }
  if (config.enable_shm && fabric_trusted(config.auth)) {
    const std::string socket = fmt::format("mooncake-{:016x}{:016x}", random_seed(), hello.epoch);
    if (Result<UniqueFd> listening = listen_unix(socket); listening.ok()) {
      unix_socket_ = std::move(*listening);
      hello.shm_socket = socket;
    } else {
      log_warn("transfer: no shm: {}", listening.status().to_string());
    }
  }
  // The fabric is inside the trust boundary, so who must not trust its network goes without.
  const bool wants_rdma = !config.rdma_devices.empty() && config.rdma_devices != "none";
  if (wants_rdma && fabric_trusted(config.auth)) {
    MC_ASSIGN_OR_RETURN(context_.rdma, RdmaHost::open(config.rdma_devices, context_.segments, context_.pools));
  }
  if (context_.rdma) hello.features |= kFeatureRdma | kFeatureMessageLanes;
  const bool choice = !hello.rails.empty() || (context_.rdma && context_.rdma->ports().size() > 1);
  MC_ASSIGN_OR_RETURN(context_.nearness, Nearness::find(config.topology, choice));
  MC_ASSIGN_OR_RETURN(self_, directory_.add(hello.listen));
  context_.loop->start();
  started_ = true;
  context_.loop->post([this] {
    local_ = std::make_unique<LocalPeer>(context_, self_, post_reply());
    if (context_.rdma) context_.rdma->start(*context_.loop);
    for (UniqueFd& socket : tcp_sockets_) listen_on(std::move(socket), false);
    if (unix_socket_.valid()) listen_on(std::move(unix_socket_), true);
  });
  return {};
}

Result<std::string> Core::listen_at(const std::string& where) {
  MC_ASSIGN_OR_RETURN(const Endpoint endpoint, parse_endpoint(where));
  MC_RETURN_IF_ERROR(check_listen(context_.config.auth, is_loopback(endpoint), where));
  if (is_any_address(endpoint)) {
    return Status(
        Code::kInvalidArgument,
        fmt::format("{} is not where peers reach this engine: listen on the address that they connect to", where));
  }
  MC_ASSIGN_OR_RETURN(UniqueFd socket, listen_tcp(endpoint));
  MC_ASSIGN_OR_RETURN(const Endpoint bound, local_endpoint(socket.get()));
  tcp_sockets_.push_back(std::move(socket));
  return format_endpoint(bound);
}

LocalPeer::PostReply Core::post_reply() {
  // Responders may outlive the engine, and answer from any thread.
  return [weak = weak_from_this()](PeerHandle peer, std::uint64_t request_id, Result<std::string> result) {
    const std::shared_ptr<Core> self = weak.lock();
    if (!self) return;
    Core* const core = self.get();
    if (core->context_.loop->is_current()) {
      if (Peer* found = core->find(peer)) found->reply(request_id, std::move(result));
      return;
    }
    core->context_.loop->post([core, peer, request_id, result = std::move(result)]() mutable {
      if (Peer* found = core->find(peer)) found->reply(request_id, std::move(result));
    });
  };
}

void Core::shut_down() {
  if (!started_) return;
  std::promise<void> done;
  context_.loop->post([this, &done] {
    stopping_ = true;
    for (const auto& listener : listeners_) listener->close();
    const std::set<HandshakePtr> handshakes = std::exchange(handshakes_, {});
    for (const HandshakePtr& handshake : handshakes) handshake->cancel();
    const Status why(Code::kCancelled, "the transfer engine ends");
    while (!remotes_.empty()) {
      const RemotePtr peer = remotes_.begin()->second;
      peer->end(why);
    }
    local_->end(why);
    if (context_.rdma) context_.rdma->close();
    if (CudaHost* cuda = context_.cuda.get()) cuda->close();
    done.set_value();
  });
  done.get_future().wait();
  context_.loop->stop();
  context_.loop->join();
}

Result<PeerHandle> Core::connect(const PeerName& name) {
  MC_ASSIGN_OR_RETURN(const Endpoint endpoint, parse_endpoint(name));
  const PeerName canonical = format_endpoint(endpoint);
  MC_ASSIGN_OR_RETURN(const PeerDirectory::Found found, directory_.find_or_add(canonical));
  if (found.added) {
    context_.loop->post([this, handle = found.handle, canonical] { dial(handle, canonical); });
  }
  return found.handle;
}

Peer* Core::find(PeerHandle peer) {
  if (peer == self_) return local_.get();
  const auto found = remotes_.find(peer.value);
  return found == remotes_.end() ? nullptr : found->second.get();
}

void Core::call(PeerHandle peer, std::uint16_t method, std::string payload, Deadline deadline, CallCallback done) {
  // An answer may be given right where it came. A failure may not: it can come from within this call, or while the peer
  // ends.
  CallCallback posted = [&context = context_, done = std::move(done)](Result<std::string> result) mutable {
    if (result.ok() && context.callbacks_here()) return done(std::move(result));
    context.executor.post([done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
  };
  if (payload.size() > kMessageBytesMax) {
    return posted(Status(Code::kInvalidArgument, fmt::format("a message of {} bytes, at most {} can be sent",
                                                             payload.size(), kMessageBytesMax)));
  }
  if (context_.loop->is_current()) return call_here(peer, method, std::move(payload), deadline, std::move(posted));
  context_.loop->post(
      [this, peer, method, payload = std::move(payload), deadline, posted = std::move(posted)]() mutable {
        call_here(peer, method, std::move(payload), deadline, std::move(posted));
      });
}

void Core::call_here(PeerHandle peer, std::uint16_t method, std::string payload, Deadline deadline, CallCallback done) {
  Peer* const found = find(peer);
  if (stopping_) return done(Status(Code::kCancelled, "the transfer engine ends"));
  if (found == nullptr) return done(directory_.why_gone(peer));
  found->call(method, std::move(payload), deadline, std::move(done));
}

void Core::refuse(const std::shared_ptr<Batch::State>& batch, const Status& why) {
  for (const SegmentHandle segment : batch->held) context_.segments.release(segment);
  batch->held.clear();
  batch->status = why;
  batch->finished = true;
  if (!batch->done) return;
  context_.executor.post([done = std::move(batch->done), why]() mutable { done(why); });
}

void Core::submit(std::shared_ptr<Batch::State> batch) {
  batch->begun = context_.loop->clock().now();
  context_.loop->post([this, batch = std::move(batch)] {
    Peer* const found = find(batch->peer);
    if (stopping_) return refuse(batch, {Code::kCancelled, "the transfer engine ends"});
    if (found == nullptr) return refuse(batch, directory_.why_gone(batch->peer));
    if (batch->deadline <= context_.loop->clock().now())
      return refuse(batch, {Code::kDeadlineExceeded, "the deadline had passed"});
    if (batch->deadline != kNever) limit(batch);
    found->submit(batch);
  });
}

void Core::limit(const std::shared_ptr<Batch::State>& batch) {
  batch->timer = context_.loop->post_at(batch->deadline, [this, weak = std::weak_ptr(batch)] {
    const auto late = weak.lock();
    if (!late || late->finished) return;
    if (Peer* peer = find(late->peer)) peer->stop(late, {Code::kDeadlineExceeded, "the batch was not done in time"});
  });
}

void Core::stop(const std::shared_ptr<Batch::State>& batch, const Status& why) {
  context_.loop->post([this, batch, why] {
    if (batch->finished) return;
    if (Peer* peer = find(batch->peer)) peer->stop(batch, why);
  });
}

void Core::revoke(SegmentHandle segment) {
  context_.loop->post([this, segment] {
    if (CudaHost* cuda = context_.cuda.get()) cuda->revoke(segment);
    for (const auto& [handle, peer] : remotes_) peer->revoke(segment);
    local_->revoke(segment);
    if (context_.rdma) context_.rdma->drop({.segment = segment});
  });
}

void Core::pool_gone(std::uint64_t pool) {
  context_.loop->post([this, pool] {
    for (const auto& [handle, peer] : remotes_) peer->pool_gone(pool);
    local_->pool_gone(pool);
    if (context_.rdma) context_.rdma->drop({.segment = {}, .pool = pool});
  });
}

void Core::ended(PeerHandle handle, bool was_live, const Status& why) {
  const auto found = remotes_.find(handle.value);
  if (found == remotes_.end()) return;
  const RemotePtr peer = found->second;
  remotes_.erase(found);
  const auto live = epochs_.find(peer->hello().epoch);
  if (live != epochs_.end() && live->second == peer) epochs_.erase(live);
  if (stopping_ || !was_live) return;
  log_info("transfer: {}", why.message());
  context_.tell([&] {
    return TraceEvent{.kind = TraceEvent::Kind::kPeerLost, .peer = handle.value, .peer_name = peer->hello().node_name};
  });
  context_.handlers.peer_lost(handle);
}

}  // namespace mooncake::transfer
