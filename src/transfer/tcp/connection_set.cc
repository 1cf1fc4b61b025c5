#include "transfer/tcp/connection_set.h"

#include <algorithm>

namespace mooncake::transfer {

void ConnectionSet::add(std::shared_ptr<Connection> connection, const Link& link) {
  members_.push_back({.connection = std::move(connection), .link = link, .acks = {}, .silence = {}});
}

Link ConnectionSet::remove(const Connection& connection) {
  const auto found = std::ranges::find_if(members_, [&](const Member& m) { return m.connection.get() == &connection; });
  if (found == members_.end()) return {};
  const Link link = found->link;
  members_.erase(found);
  return link;
}

std::size_t ConnectionSet::size_on(std::uint8_t rail) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(members_, [&](const Member& m) { return m.link.rail == rail; }));
}

bool ConnectionSet::contains(const Connection& connection) const {
  return std::ranges::any_of(members_, [&](const Member& m) { return m.connection.get() == &connection; });
}

std::uint8_t ConnectionSet::rail_of(const Connection& connection) const {
  const auto found = std::ranges::find_if(members_, [&](const Member& m) { return m.connection.get() == &connection; });
  CHECK(found != members_.end());
  return found->link.rail;
}

bool ConnectionSet::dialled(const Connection& connection) const {
  return std::ranges::any_of(members_,
                             [&](const Member& m) { return m.connection.get() == &connection && m.link.dialled; });
}

Connection* ConnectionSet::find(std::uint64_t id) const {
  const auto found = std::ranges::find_if(members_, [&](const Member& m) { return m.link.id == id; });
  return found == members_.end() ? nullptr : found->connection.get();
}

std::uint64_t ConnectionSet::id_of(const Connection& connection) const {
  const auto found = std::ranges::find_if(members_, [&](const Member& m) { return m.connection.get() == &connection; });
  CHECK(found != members_.end());
  return found->link.id;
}

Connection& ConnectionSet::least_busy(std::uint8_t rail) const {
  const Member* best = nullptr;
  for (const Member& member : members_) {
    if (member.link.rail != rail) continue;
    if (best == nullptr || member.connection->queued_bytes() <= best->connection->queued_bytes()) best = &member;
  }
  CHECK(best != nullptr);
  return *best->connection;
}

Connection& ConnectionSet::next(std::uint8_t rail) {
  for (;;) {
    const Member& member = members_[turn_++ % members_.size()];
    if (member.link.rail == rail) return *member.connection;
  }
}

Connection& ConnectionSet::steady(std::uint8_t avoid) const {
  const auto found = std::ranges::find_if(members_, [&](const Member& m) { return m.link.rail != avoid; });
  return *(found == members_.end() ? members_.front() : *found).connection;
}

ConnectionSet::Check ConnectionSet::check(Instant now) {
  Check result;
  for (Member& member : members_) {
    const AckState state = read_ack_state(member.connection->fd());
    member.silence = member.acks.silence(state, now);
    result.waiting = result.waiting || state.waiting || member.connection->queued_bytes() > 0;
    result.silence_min = std::min(result.silence_min, member.silence);
  }
  if (result.silence_min >= kRailSilence) return result;
  for (const Member& member : members_) {
    if (given_up(member)) result.silent.push_back(member.connection);
  }
  return result;
}

/// What moves from a connection to its neighbour on a dead rail would have to wait once more: so when one is silent for
/// kRailSilence, those beside it go with it at half of that, if there is a way on another rail.
bool ConnectionSet::given_up(const Member& member) const {
  if (member.silence >= kRailSilence) return true;
  if (member.silence < kRailSilence / 2) return false;
  const auto beside = [&](const Member& other) {
    return other.link.rail == member.link.rail && other.silence >= kRailSilence;
  };
  const auto elsewhere = [&](const Member& other) {
    return other.link.rail != member.link.rail && other.silence < kRailSilence / 2;
  };
  return std::ranges::any_of(members_, beside) && std::ranges::any_of(members_, elsewhere);
}

void ConnectionSet::close_all(const Status& reason, bool tell) {
  for (const Member& member : members_) member.connection->close(reason, tell);
}

}  // namespace mooncake::transfer
