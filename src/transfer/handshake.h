// Handshake: one connection from its first packet to the exchange of hellos, in at most kConnectTimeout. Both sides
// send their hello at once; whoever sees something wrong says so and closes. With AuthMode::kMac each side answers the
// other's hello with its proof, and from then on its frames are sealed; the hello is believed once the proof has come.
// Loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "transfer/auth/session.h"
#include "transfer/connection.h"
#include "transfer/context.h"

namespace mooncake::transfer {

/// Connecting and both hellos. A loopback handshake takes under a millisecond; a host that drops packets answers never.
inline constexpr Millis kConnectTimeout{3'000};

/// Names one connection of a peer, at both sides.
struct Link {
  std::uint64_t id = 0;       ///< drawn by the side that dials
  std::uint8_t rail = 0;      ///< which pair of endpoints it joins
  std::uint64_t session = 0;  ///< of the side that dials
  bool dialled = false;       ///< by us
};

class Handshake final : public std::enable_shared_from_this<Handshake>, private Connection::Handler {
 public:
  /// Told once: the connection with the other side's hello, or why there is none. The connection's reports still come
  /// here, so the receiver must take it over (set_handler) or close it before it returns.
  using Done = std::function<void(Handshake&, Result<Hello>)>;

  /// `role` is what our hello says the connection is for. Shared with the timer and with `done`'s owner.
  static std::shared_ptr<Handshake> create(Context& context, ConnectionRole role, Done done);

  /// For a socket that connect_tcp() or connect_unix() began, on that rail, for the peer with that session of ours.
  void dial(UniqueFd socket, std::uint8_t rail, std::uint64_t session);
  /// For an accepted socket.
  void accept(UniqueFd socket);
  /// Ends it without a word.
  void cancel();

  [[nodiscard]] ConnectionRole role() const { return role_; }
  [[nodiscard]] const std::shared_ptr<Connection>& connection() const { return connection_; }
  /// Complete once the hellos are exchanged.
  [[nodiscard]] const Link& link() const { return link_; }

 private:
  Handshake(Context& context, ConnectionRole role, Done done)
      : context_(context), role_(role), done_(std::move(done)) {}

  Status on_frame(Connection& from, const FrameHeader& header, std::string payload) override;
  std::byte* on_bulk(Connection&, const FrameHeader&, const BulkRange&) override { return nullptr; }
  Status on_bulk_end(Connection&, const FrameHeader&, const BulkRange&) override;
  void on_bulk_sent(Connection&, const FrameHeader&) override {}
  void on_closed(Connection& from, const Status& reason) override;

  bool watch(UniqueFd socket);
  void greet();
  Status on_hello(const std::string& payload);
  Status on_proof(std::string_view payload);
  [[nodiscard]] Status check(const Hello& hello) const;
  Status prove(const std::string& their_hello);
  void finish(Result<Hello> result);

  Context& context_;
  const ConnectionRole role_;
  Done done_;
  Link link_;
  std::unique_ptr<net::FdWatch> dialing_;
  std::shared_ptr<Connection> connection_;
  TimerId timer_{0};
  std::string our_hello_;           // as sent
  Hello hello_;                     // theirs, until it is proven
  std::optional<Session> session_;  // once both hellos are known, with kMac
};

}  // namespace mooncake::transfer
