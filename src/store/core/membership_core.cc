#include "store/core/membership_core.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/rng.h"

namespace mooncake::store {

MembershipCore::MembershipCore(Millis heartbeat_timeout, std::uint64_t seed)
    : heartbeat_timeout_(heartbeat_timeout), next_session_(splitmix64(seed) >> 1 | 1) {
  CHECK(heartbeat_timeout > Millis{0});
}

SessionId MembershipCore::join(Member member, ConnectionId connection, Instant now, std::vector<Ended>& ended) {
  std::vector<Ended> replaced = end_if([&](const Session& session) { return session.member.name == member.name; });
  ended.insert(ended.end(), std::make_move_iterator(replaced.begin()), std::make_move_iterator(replaced.end()));
  const SessionId session{next_session_++};
  sessions_.emplace(session, Session{std::move(member), connection, now});
  ++version_;
  return session;
}

bool MembershipCore::heard(SessionId session, ConnectionId connection, Instant now) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end() || found->second.connection != connection) return false;
  found->second.heard = now;
  return true;
}

std::vector<MembershipCore::Ended> MembershipCore::connection_lost(ConnectionId connection) {
  return end_if([&](const Session& session) { return session.connection == connection; });
}

std::vector<MembershipCore::Ended> MembershipCore::tick(Instant now) {
  const bool stalled = last_tick_ && now - *last_tick_ > heartbeat_timeout_ / 3;
  last_tick_ = now;
  if (stalled) {
    for (auto& [id, session] : sessions_) session.heard = now;
  }
  return end_if([&](const Session& session) { return now - session.heard >= heartbeat_timeout_; });
}

const Member* MembershipCore::find(SessionId session) const {
  const auto found = sessions_.find(session);
  return found == sessions_.end() ? nullptr : &found->second.member;
}

std::vector<Member> MembershipCore::members() const {
  std::vector<Member> members;
  members.reserve(sessions_.size());
  for (const auto& [id, session] : sessions_) members.push_back(session.member);
  std::ranges::sort(members, {}, &Member::name);
  return members;
}

std::size_t MembershipCore::suspected(Instant now) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      sessions_, [&](const auto& entry) { return now - entry.second.heard >= heartbeat_timeout_ / 2; }));
}

template <typename Predicate>
std::vector<MembershipCore::Ended> MembershipCore::end_if(Predicate predicate) {
  std::vector<Ended> ended;
  for (auto at = sessions_.begin(); at != sessions_.end();) {
    if (!predicate(at->second)) {
      ++at;
      continue;
    }
    ended.push_back({at->first, std::move(at->second.member)});
    at = sessions_.erase(at);
    ++version_;
  }
  return ended;
}

}  // namespace mooncake::store
