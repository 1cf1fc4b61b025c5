// Core: the engine behind TransferEngine. Listens, dials, and makes one peer of all connections of one epoch, whoever
// opened them:
//
//   connect(name)     a new peer, connecting; a primary connection is dialled
//   hello, incoming   its epoch is live: one more connection of that peer
//                     another tenant's: a new peer, known by its handle alone
//                     a peer is connecting to the endpoint it announces: that peer begins with this connection
//                     else: a new peer, which takes the endpoint's name over from an older epoch; from nobody
//                     else who is live
//   hello, outgoing   the peer began meanwhile, same epoch: one more connection. Not yet: it begins
//
// So when two engines dial each other at once there is one peer at each side, with both connections.
//
// State belongs to the loop thread; what other threads may call says so.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <memory>
#include <set>
#include <string>

#include "transfer/context.h"
#include "transfer/handshake.h"
#include "transfer/mem/local_peer.h"
#include "transfer/peer_directory.h"
#include "transfer/remote_peer.h"

namespace mooncake::transfer {

/// Connections that have not said hello: a cluster's worth of simultaneous starts, and a bound for a port scanner.
inline constexpr std::size_t kHandshakesMax = 512;
/// More connections than that to one peer help nobody; simultaneous dials may double a peer's own number.
inline constexpr std::size_t kConnectionsPerPeerMax = 16;
/// Pause after accept() failed for want of descriptors.
inline constexpr Millis kAcceptPause{100};

class Core final : public std::enable_shared_from_this<Core> {  // shared with responders, which hold it weakly
 public:
  /// `executor` null: callbacks run on the loop.
  Core(TransferConfig config, Executor* executor);

  /// Listens and starts the loop. @return kInvalidArgument, kUnavailable.
  Status start();
  /// Fails everything in flight with kCancelled, closes everything, ends the loop. Blocks. From any thread but the
  /// loop.
  void shut_down();

  /// From any thread.
  [[nodiscard]] const PeerName& name() const { return context_.hello.listen; }
  Context& context() { return context_; }
  [[nodiscard]] const PeerDirectory& directory() const { return directory_; }
  Result<PeerHandle> connect(const PeerName& name);
  void call(PeerHandle peer, std::uint16_t method, std::string payload, Deadline deadline, CallCallback done);
  void submit(std::shared_ptr<Batch::State> batch);  // shared with the user's Batch
  void stop(const std::shared_ptr<Batch::State>& batch, const Status& why);
  /// Ends the batch before it has begun.
  void refuse(const std::shared_ptr<Batch::State>& batch, const Status& why);
  void limit(const std::shared_ptr<Batch::State>& batch);
  void revoke(SegmentHandle segment);
  void pool_gone(std::uint64_t pool);

 private:
  using HandshakePtr = std::shared_ptr<Handshake>;  // shared with what waits for its socket
  using RemotePtr = std::shared_ptr<RemotePeer>;    // shared with what runs while the peer ends

  Peer* find(PeerHandle peer);
  void call_here(PeerHandle peer, std::uint16_t method, std::string payload, Deadline deadline, CallCallback done);
  RemotePtr remote(PeerHandle handle, const PeerName& name);
  static bool joins(const RemotePeer& peer, const Hello& hello);
  [[nodiscard]] bool believes_endpoint(const Hello& hello) const;
  [[nodiscard]] bool follows(const RemotePeer& peer, const Hello& hello) const;
  RemotePtr by_epoch(std::uint64_t epoch);
  void ended(PeerHandle handle, bool was_live, const Status& why);

  LocalPeer::PostReply post_reply();

  Result<std::string> listen_at(const std::string& where);
  void listen_on(UniqueFd socket, bool unix_socket);
  void accept_all(net::FdWatch& listener, bool unix_socket);
  void on_incoming(Handshake& handshake, const Result<Hello>& hello, bool unix_socket);
  void begin_incoming(Handshake& handshake, const Hello& hello);

  void dial(PeerHandle handle, const PeerName& name);
  void on_outgoing(Handshake& handshake, const Result<Hello>& hello, const RemotePtr& peer);
  void begin(const RemotePtr& peer, const Hello& hello, Handshake& handshake);
  void dial_more(const RemotePtr& peer);
  void dial_extra(const RemotePtr& peer, std::uint8_t rail);
  void dial_later(const RemotePtr& peer, std::uint8_t rail);
  Result<UniqueFd> connect_on(const RemotePeer& peer, std::uint8_t rail) const;
  void dial_shm(const RemotePtr& peer);
  HandshakePtr new_handshake(ConnectionRole role, Handshake::Done done);
  static void drop(Handshake& handshake, Code code, const std::string& why);

  Context context_;
  PeerDirectory directory_;
  PeerHandle self_;
  bool started_ = false;  // the loop runs; set by start(), read by shut_down()
  bool stopping_ = false;
  std::vector<UniqueFd> tcp_sockets_;  // until the loop has them
  UniqueFd unix_socket_;
  std::vector<std::unique_ptr<net::FdWatch>> listeners_;
  std::set<HandshakePtr> handshakes_;
  std::unique_ptr<LocalPeer> local_;
  absl::flat_hash_map<std::uint64_t, RemotePtr> remotes_;
  absl::flat_hash_map<std::uint64_t, RemotePtr> epochs_;  // the live ones
};

}  // namespace mooncake::transfer
