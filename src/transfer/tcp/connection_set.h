// ConnectionSet: the TCP connections of one peer, each on a rail, and which of them to use next. Loop thread only.
#pragma once

#include <memory>
#include <vector>

#include "transfer/connection.h"
#include "transfer/handshake.h"
#include "transfer/tcp/ack_watch.h"

namespace mooncake::transfer {

/// A path on which nothing is acknowledged for that long is given up if there is another: above a retransmission or two
/// (the kernel's first comes after 200 ms), and early enough to be on the other path within a second.
inline constexpr Millis kRailSilence{400};
/// A peer that acknowledges nothing on any path for that long is lost.
inline constexpr Millis kPeerSilence{10'000};

class ConnectionSet {
 public:
  void add(std::shared_ptr<Connection> connection, const Link& link);
  /// Takes it out. @return its names; id 0 if it is not of the set.
  Link remove(const Connection& connection);

  [[nodiscard]] std::size_t size() const { return members_.size(); }
  [[nodiscard]] std::size_t size_on(std::uint8_t rail) const;
  [[nodiscard]] bool contains(const Connection& connection) const;
  /// Of a member.
  [[nodiscard]] std::uint8_t rail_of(const Connection& connection) const;
  /// Whether we dialled that member.
  [[nodiscard]] bool dialled(const Connection& connection) const;
  /// Null if there is none.
  [[nodiscard]] Connection* find(std::uint64_t id) const;
  /// Of a connection of the set.
  [[nodiscard]] std::uint64_t id_of(const Connection& connection) const;

  /// The one on `rail` with the least waiting to be sent; among equals the last, so that messages on the first wait
  /// least. There must be one.
  [[nodiscard]] Connection& least_busy(std::uint8_t rail) const;
  /// Takes turns among those on `rail`. There must be one.
  Connection& next(std::uint8_t rail);
  /// The rail of the newest. There must be one.
  [[nodiscard]] std::uint8_t any_rail() const { return members_.back().link.rail; }
  /// For messages: the oldest, and one that is not on rail `avoid` if there is any. There must be one.
  [[nodiscard]] Connection& steady(std::uint8_t avoid = 0xff) const;

  struct Check {
    bool waiting = false;                             ///< something is not sent or not acknowledged
    std::vector<std::shared_ptr<Connection>> silent;  ///< to be given up: they are silent and another is not
    Nanos silence_min = Nanos::max();                 ///< of all
  };
  /// Looks at what the other end acknowledges.
  Check check(Instant now);

  void close_all(const Status& reason, bool tell);

 private:
  struct Member {
    std::shared_ptr<Connection> connection;  // shared: see Connection
    Link link;
    AckWatch acks;
    Nanos silence{0};  // at the last check
  };

  [[nodiscard]] bool given_up(const Member& member) const;

  std::vector<Member> members_;
  std::size_t turn_ = 0;
};

}  // namespace mooncake::transfer
