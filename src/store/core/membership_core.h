// MembershipCore: who is in the cluster, by epochs.
//
// A member is *active* from its join, *suspected* after half the heartbeat time-out of silence, and *offline*
// (forgotten) after the whole, or at once when its connection breaks. A suspected member still counts: silence for a
// second is more often a busy machine than a dead one. Each join opens a session with a number of its own; what comes
// with the number of an ended session, or over another connection, is refused, and the member joins again.
//
// A master that was itself stopped (SIGSTOP, long page-in) sees everybody silent. It notices by the gap between its own
// ticks, and then expires nobody on that account: all clocks start again.
//
// Pure: `now` comes from outside and must not decrease. Thread-compatible.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "store/core/member.h"

namespace mooncake::store {

/// One join of one member. Never 0, and different between masters.
enum class SessionId : std::uint64_t {};
/// The transport connection that a member speaks over (a PeerHandle's value).
enum class ConnectionId : std::uint64_t {};

class MembershipCore {
 public:
  /// A session that is over. Everything known through it is to be forgotten.
  struct Ended {
    SessionId session{};
    Member member;
  };

  /// `seed` makes session numbers differ from those of earlier masters.
  MembershipCore(Millis heartbeat_timeout, std::uint64_t seed);

  /// Opens a session. A session of the same name, of this epoch or another, ends first and is added to `ended`.
  SessionId join(Member member, ConnectionId connection, Instant now, std::vector<Ended>& ended);
  /// @return false if there is no such session over this connection: the sender has to join again.
  [[nodiscard]] bool heard(SessionId session, ConnectionId connection, Instant now);
  /// Ends all sessions over a connection.
  std::vector<Ended> connection_lost(ConnectionId connection);
  /// Ends sessions that were silent for too long. To be called several times a heartbeat time-out.
  std::vector<Ended> tick(Instant now);

  /// The member of a live session; null otherwise. Valid until the next change.
  [[nodiscard]] const Member* find(SessionId session) const;
  /// All members, by name.
  [[nodiscard]] std::vector<Member> members() const;
  [[nodiscard]] std::size_t size() const { return sessions_.size(); }
  [[nodiscard]] std::size_t suspected(Instant now) const;
  /// Grows with every change of members().
  [[nodiscard]] std::uint64_t version() const { return version_; }

 private:
  struct Session {
    Member member;
    ConnectionId connection{};
    Instant heard{};
  };

  template <typename Predicate>
  std::vector<Ended> end_if(Predicate predicate);

  const Millis heartbeat_timeout_;
  std::uint64_t next_session_;
  std::uint64_t version_ = 1;
  std::optional<Instant> last_tick_;
  std::map<SessionId, Session> sessions_;
};

}  // namespace mooncake::store
