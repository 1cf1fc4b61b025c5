#include "store/master/watcher_table.h"

#include <algorithm>

#include "store/wire.h"

namespace mooncake::store {
namespace {

/// A position that no log reaches: its owner gets a copy, as soon as it is its turn.
constexpr std::uint64_t kNoPosition = UINT64_MAX;

}  // namespace

struct WatcherTable::Waiting {
  transfer::PeerHandle peer;
  pb::WatchRequest request;
  transfer::Responder responder;
  Instant since{};
};

WatcherTable::WatcherTable(const MasterCore& core, std::uint64_t master_epoch)
    : core_(core), master_epoch_(master_epoch) {
  CHECK(master_epoch != 0);
}

WatcherTable::~WatcherTable() = default;

void WatcherTable::watch(transfer::PeerHandle peer, const std::string& payload, transfer::Responder responder,
                         Instant now) {
  Result<pb::WatchRequest> request = parse<pb::WatchRequest>(payload);
  if (!request.ok()) return responder.reply(request.status());
  pb::WatchReply reply;
  if (tell(*request, reply, now)) return responder.reply(reply.SerializeAsString());
  if (waiting_.size() >= kWatchersMax) {
    return responder.reply(Status(Code::kExhausted, "the master has its maximum of watchers"));
  }
  waiting_.push_back(std::make_unique<Waiting>(Waiting{peer, *std::move(request), std::move(responder), now}));
}

void WatcherTable::tick(Instant now) {
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    Waiting& waiting = **at;
    pb::WatchReply reply;
    if (!tell(waiting.request, reply, now) && now - waiting.since < kWatchPatience) {
      ++at;
      continue;
    }
    waiting.responder.reply(reply.SerializeAsString());
    at = waiting_.erase(at);
  }
  std::erase_if(copies_, [now](const auto& copy) { return now - copy.second.used > kCopyIdleMax; });
}

void WatcherTable::forget(transfer::PeerHandle peer) {
  std::erase_if(waiting_, [peer](const std::unique_ptr<Waiting>& waiting) { return waiting->peer == peer; });
}

bool WatcherTable::tell(const pb::WatchRequest& request, pb::WatchReply& reply, Instant now) {
  reply.set_master_epoch(master_epoch_);
  reply.set_members_version(request.members_version());
  reply.set_cache_position(request.cache_position());
  bool news = request.master_epoch() != master_epoch_;
  if (news) reply.set_cache_position(kNoPosition);
  if (request.watch_members()) news |= tell_members(request, reply);
  if (request.watch_cache()) news |= tell_cache(request, reply, now);
  return news;
}

bool WatcherTable::tell_members(const pb::WatchRequest& request, pb::WatchReply& reply) const {
  const MembershipCore& membership = core_.membership();
  const bool known = request.master_epoch() == master_epoch_ && request.members_version() == membership.version();
  if (known) return false;
  reply.set_members_changed(true);
  reply.set_members_version(membership.version());
  for (const Member& member : membership.members()) to_wire(member, *reply.add_members());
  return true;
}

bool WatcherTable::tell_cache(const pb::WatchRequest& request, pb::WatchReply& reply, Instant now) {
  if (request.master_epoch() != master_epoch_) return begin_copy(reply, now);
  if (request.copy() != 0) {
    if (!copies_.contains(request.copy())) return begin_copy(reply, now);
    tell_copy(request.copy(), reply, now);
    return true;
  }
  const auto changes = core_.directory().log().read(request.cache_position(), kKeysPerMessageMax);
  if (!changes) return begin_copy(reply, now);
  if (changes->empty()) return false;
  tell_changes(*changes, reply);
  reply.set_cache_position(request.cache_position() + changes->size());
  return true;
}

bool WatcherTable::begin_copy(pb::WatchReply& reply, Instant now) {
  if (copies_.size() >= kCopiesMax) return false;  // waits for its turn like for news
  const Directory& directory = core_.directory();
  Copy copy{.position = directory.log().last(), .parts = {}, .used = now};
  for (std::size_t slot = 0; slot < directory.node_slots(); ++slot) {
    std::vector<Key128> keys = directory.keys_of(static_cast<NodeSlot>(slot));
    if (!keys.empty()) copy.parts.emplace_back(static_cast<NodeSlot>(slot), std::move(keys));
  }
  const std::uint64_t id = next_copy_++;
  copies_.emplace(id, std::move(copy));
  reply.set_copy_begins(true);
  tell_copy(id, reply, now);
  return true;
}

void WatcherTable::tell_copy(std::uint64_t id, pb::WatchReply& reply, Instant now) {
  Copy& copy = copies_.at(id);
  copy.used = now;
  std::size_t room = kKeysPerMessageMax;
  while (room > 0 && !copy.parts.empty()) {
    auto& [slot, keys] = copy.parts.back();
    pb::WatchReply::CacheChange& change = *reply.add_changes();
    change.set_kind(pb::WatchReply::CacheChange::STORED);
    change.set_node(core_.nodes()[slot].name);
    const std::size_t count = std::min(room, keys.size());
    for (std::size_t i = keys.size() - count; i < keys.size(); ++i) add_key(*change.mutable_keys(), keys[i]);
    keys.resize(keys.size() - count);
    if (keys.empty()) copy.parts.pop_back();
    room -= count;
  }
  reply.set_cache_position(copy.position);
  if (copy.parts.empty()) {
    copies_.erase(id);
  } else {
    reply.set_copy(id);
  }
}

void WatcherTable::tell_changes(const std::vector<DirectoryChange>& changes, pb::WatchReply& reply) const {
  // The kinds are numbered alike in the log and on the wire; neighbours of one kind and node share an entry.
  const DirectoryChange* previous = nullptr;
  for (const DirectoryChange& change : changes) {
    if (previous == nullptr || previous->kind != change.kind || previous->node != change.node) {
      pb::WatchReply::CacheChange& entry = *reply.add_changes();
      entry.set_kind(static_cast<pb::WatchReply::CacheChange::Kind>(change.kind));
      entry.set_node(core_.nodes()[change.node].name);
    }
    if (change.kind != DirectoryChange::Kind::kCleared) {
      add_key(*reply.mutable_changes(reply.changes_size() - 1)->mutable_keys(), change.key);
    }
    previous = &change;
  }
}

}  // namespace mooncake::store
