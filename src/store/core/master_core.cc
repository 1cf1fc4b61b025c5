#include "store/core/master_core.h"

#include <utility>

namespace mooncake::store {
namespace {

constexpr std::string_view kNodeRole = "node";

Status session_over() { return {Code::kStale, "this session with the master is over: join again"}; }

}  // namespace

MasterCore::MasterCore(Millis heartbeat_timeout, std::uint64_t seed, std::size_t log_changes_max)
    : membership_(heartbeat_timeout, seed), directory_(log_changes_max) {}

Result<SessionId> MasterCore::join(Member member, ConnectionId connection, Instant now) {
  if (member.role.empty() || member.name.empty() || member.endpoint.empty()) {
    return Status(Code::kInvalidArgument, "a member needs a role, a name and an endpoint");
  }
  if (membership_.size() >= kMembersMax) return Status(Code::kExhausted, "the cluster has its maximum of members");
  const bool is_node = member.role == kNodeRole;
  NodeSlot slot = 0;
  if (is_node) {
    MC_ASSIGN_OR_RETURN(slot, slot_of(member.name));
  }
  const std::string endpoint = member.endpoint;
  std::vector<MembershipCore::Ended> ended;
  const SessionId session = membership_.join(std::move(member), connection, now, ended);
  forget(std::move(ended));
  if (is_node) {
    nodes_[slot].endpoint = endpoint;
    nodes_[slot].live = true;
  }
  return session;
}

Status MasterCore::heartbeat(SessionId session, ConnectionId connection, std::uint64_t bytes_used,
                             std::uint64_t bytes_capacity, Instant now) {
  if (!membership_.heard(session, connection, now)) return session_over();
  const Member& member = *membership_.find(session);
  if (member.role != kNodeRole) return {};
  NodeState& node = nodes_[slots_.at(member.name)];
  node.bytes_used = bytes_used;
  node.bytes_capacity = bytes_capacity;
  return {};
}

Result<std::vector<std::uint32_t>> MasterCore::publish(SessionId session, ConnectionId connection,
                                                       std::span<const Publication> changes, Instant now) {
  if (!membership_.heard(session, connection, now)) return session_over();
  const Member& member = *membership_.find(session);
  if (member.role != kNodeRole) return Status(Code::kInvalidArgument, "only a node can publish objects");
  const NodeSlot slot = slots_.at(member.name);
  std::vector<std::uint32_t> refused;
  for (std::uint32_t i = 0; i < changes.size(); ++i) {
    const Publication& change = changes[i];
    if (!change.stored) {
      directory_.remove(slot, change.key);
    } else if (!directory_.store(slot, change.key, change.crc32c)) {
      refused.push_back(i);
    }
  }
  return refused;
}

std::vector<Member> MasterCore::connection_lost(ConnectionId connection) {
  return forget(membership_.connection_lost(connection));
}

std::vector<Member> MasterCore::tick(Instant now) { return forget(membership_.tick(now)); }

Result<NodeSlot> MasterCore::slot_of(const std::string& name) {
  if (const auto found = slots_.find(name); found != slots_.end()) return found->second;
  if (nodes_.size() == kNodeNamesMax) {
    return Status(Code::kExhausted, "this master has seen its maximum of node names: restart it, or reuse names");
  }
  const auto slot = static_cast<NodeSlot>(nodes_.size());
  nodes_.push_back({.name = name});
  slots_.emplace(name, slot);
  return slot;
}

std::vector<Member> MasterCore::forget(std::vector<MembershipCore::Ended> ended) {
  std::vector<Member> members;
  for (MembershipCore::Ended& end : ended) {
    if (end.member.role == kNodeRole) {
      const NodeSlot slot = slots_.at(end.member.name);
      nodes_[slot] = {.name = end.member.name};
      directory_.clear(slot);
    }
    members.push_back(std::move(end.member));
  }
  return members;
}

}  // namespace mooncake::store
