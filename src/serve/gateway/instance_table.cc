#include "serve/gateway/instance_table.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "proto/serve.pb.h"
#include "serve/messages.h"
#include "serve/methods.h"

namespace mooncake::serve {

using conductor::InstanceId;
using conductor::NodeId;
using conductor::Role;

struct InstanceTable::Entry : Instance {
  bool listed = false;            ///< in the master's member list
  transfer::PeerHandle peer;      ///< of the last question
  transfer::PeerHandle previous;  ///< the one before: its end may be told after we have asked again
  std::uint64_t incarnation = 0;  ///< grows when the member changes: answers to older questions are void
  std::uint32_t misses = 0;
  bool asking = false;
  TimerId timer{};
};

std::string_view instance_state_name(InstanceState state) {
  switch (state) {
    case InstanceState::kConnecting:
      return "connecting";
    case InstanceState::kUp:
      return "up";
    case InstanceState::kDraining:
      return "draining";
    case InstanceState::kDown:
      return "down";
    case InstanceState::kForeign:
      return "foreign";
  }
  return "?";
}

InstanceTable::InstanceTable(std::string model, Nanos stats_period, transfer::TransferEngine& engine,
                             Callbacks callbacks)
    : model_(std::move(model)),
      stats_period_(stats_period),
      engine_(engine),
      loop_(engine.executor()),
      callbacks_(std::move(callbacks)) {}

InstanceTable::~InstanceTable() {
  for (const auto& entry : entries_) loop_.cancel(entry->timer);
}

void InstanceTable::on_members(const std::vector<store::Member>& members) {
  for (const auto& entry : entries_) entry->listed = false;
  for (const store::Member& member : members) {
    if (member.role != "prefill" && member.role != "decode") continue;
    Entry*& entry = by_name_[member.name];
    if (entry == nullptr) {
      entries_.push_back(std::make_unique<Entry>());
      entry = entries_.back().get();
      entry->id = static_cast<InstanceId>(entries_.size() - 1);
      begin(*entry, member);
    } else if (entry->member != member) {
      set_state(*entry, InstanceState::kDown);
      begin(*entry, member);
    }
    entry->listed = true;
  }
  for (const auto& entry : entries_) forget_if_gone(*entry);
}

// A new process behind the name: what was known of the old one does not hold.
void InstanceTable::begin(Entry& entry, const store::Member& member) {
  entry.member = member;
  entry.role = member.role == "prefill" ? Role::kPrefill : Role::kDecode;
  entry.node = node_id(member.attached_node);
  entry.state = InstanceState::kConnecting;
  entry.stats = {};
  entry.misses = 0;
  entry.peer = entry.previous = {};
  entry.asking = false;
  ++entry.incarnation;
  if (!member.model.empty() && member.model != model_) {
    log_warn("{} serves model {}, this gateway {}: left alone", member.name, member.model, model_);
    entry.state = InstanceState::kForeign;
    loop_.cancel(entry.timer);
    return;
  }
  schedule(entry, {});
}

void InstanceTable::schedule(Entry& entry, Nanos delay) {
  loop_.cancel(entry.timer);
  entry.timer = loop_.post_at(loop_.clock().now() + delay, [this, &entry] { ask(entry); });
}

void InstanceTable::check(InstanceId id) {
  const auto index = static_cast<std::size_t>(id);
  if (index >= entries_.size()) return;
  Entry& entry = *entries_[index];
  if (!entry.asking && entry.state != InstanceState::kForeign) schedule(entry, {});
}

void InstanceTable::ask(Entry& entry) {
  const Result<transfer::PeerHandle> peer = engine_.connect(entry.member.endpoint);
  if (!peer.ok()) return on_failure(entry, peer.status());
  if (entry.peer != *peer) entry.previous = std::exchange(entry.peer, *peer);
  entry.asking = true;
  const Deadline deadline = loop_.clock().now() + kStatsTimeout;
  engine_.call(
      *peer, kMethodStats, pb::StatsRequest().SerializeAsString(), deadline,
      [this, &entry, incarnation = entry.incarnation, alive = std::weak_ptr(alive_)](Result<std::string> reply) {
        if (alive.expired() || entry.incarnation != incarnation) return;
        entry.asking = false;
        on_stats(entry, std::move(reply));
      });
}

void InstanceTable::on_stats(Entry& entry, Result<std::string> payload) {
  if (!payload.ok()) return on_failure(entry, payload.status());
  const auto stats = parse_worker_stats(*payload);
  if (!stats.ok()) return on_failure(entry, stats.status());
  entry.misses = 0;
  entry.stats_at = loop_.clock().now();
  entry.stats = {.id = entry.id,
                 .outstanding = from_ms(stats->outstanding_ms),
                 .running = stats->running,
                 .queued = stats->queued,
                 .kv_tokens_used = stats->kv_tokens_used,
                 .tbt = from_ms(stats->tbt_ms)};
  entry.kv_tokens_max = stats->kv_tokens_max;
  if (!stats->model.empty() && stats->model != model_) {
    set_state(entry, InstanceState::kForeign);
    return;
  }
  set_state(entry, stats->draining ? InstanceState::kDraining : InstanceState::kUp, stats->sequences_max);
  callbacks_.stats(entry.stats);
  schedule(entry, stats_period_);
}

void InstanceTable::on_failure(Entry& entry, const Status& status) {
  ++entry.misses;
  const bool gone = status.code() == Code::kPeerLost || status.code() == Code::kUnavailable;
  if (gone || entry.misses >= kStatsMissesMax) {
    if (entry.state == InstanceState::kUp) log_warn("{} is down: {}", entry.member.name, status.to_string());
    set_state(entry, InstanceState::kDown);
  }
  schedule(entry, stats_period_);
  forget_if_gone(entry);
}

void InstanceTable::on_peer_lost(transfer::PeerHandle peer) {
  for (const auto& entry : entries_) {
    if (peer == transfer::PeerHandle{} || (entry->peer != peer && entry->previous != peer)) continue;
    if (entry->state == InstanceState::kUp) log_warn("{} is down: its connection broke", entry->member.name);
    (entry->peer == peer ? entry->peer : entry->previous) = {};
    if (entry->state != InstanceState::kForeign) set_state(*entry, InstanceState::kDown);
    forget_if_gone(*entry);
  }
}

void InstanceTable::set_state(Entry& entry, InstanceState state, std::uint32_t sequences_max) {
  if (entry.state == state) return;
  const bool served = entry.state == InstanceState::kUp || entry.state == InstanceState::kDraining;
  const bool serves = state == InstanceState::kUp || state == InstanceState::kDraining;
  entry.state = state;
  if (!served && !serves) return;
  using Kind = conductor::InstanceChange::Kind;
  const Kind kind = state == InstanceState::kUp         ? Kind::kUp
                    : state == InstanceState::kDraining ? Kind::kDraining
                                                        : Kind::kDown;
  callbacks_.changed({.kind = kind,
                      .id = entry.id,
                      .role = entry.role,
                      .name = entry.member.name,
                      .attached_node = entry.node,
                      .sequences_max = std::max(sequences_max, 1u),
                      .kv_tokens_max = entry.kv_tokens_max});
  if (!serves) callbacks_.lost(entry);
}

// Neither the master nor a connection knows it: no more questions until it is listed again.
void InstanceTable::forget_if_gone(Entry& entry) {
  if (entry.listed || entry.state == InstanceState::kUp || entry.state == InstanceState::kDraining) return;
  loop_.cancel(entry.timer);
  ++entry.incarnation;
  entry.asking = false;
  entry.member.epoch = 0;  // so that the same process is taken up again when it is listed again
  entry.member.endpoint.clear();
  entry.state = InstanceState::kDown;
}

const Instance* InstanceTable::find(std::string_view name) const {
  const auto entry = by_name_.find(name);
  return entry == by_name_.end() ? nullptr : entry->second;
}

const Instance* InstanceTable::find(InstanceId id) const {
  const auto index = static_cast<std::size_t>(id);
  return index < entries_.size() ? entries_[index].get() : nullptr;
}

std::string InstanceTable::name(InstanceId id) const {
  const Instance* instance = find(id);
  return instance == nullptr ? "?" : instance->member.name;
}

std::uint32_t InstanceTable::up_count(Role role) const {
  return static_cast<std::uint32_t>(std::ranges::count_if(
      entries_, [role](const auto& entry) { return entry->role == role && entry->state == InstanceState::kUp; }));
}

std::vector<const Instance*> InstanceTable::list() const {
  std::vector<const Instance*> instances;
  for (const auto& [name, entry] : by_name_) {
    if (!entry->member.endpoint.empty()) instances.push_back(entry);
  }
  return instances;
}

NodeId InstanceTable::node_id(std::string_view name) {
  const auto known = nodes_.find(name);
  if (known != nodes_.end()) return known->second;
  const auto id = static_cast<NodeId>(node_names_.size());
  node_names_.emplace_back(name);
  nodes_.emplace(name, id);
  return id;
}

std::string InstanceTable::node_name(NodeId id) const {
  const auto index = static_cast<std::size_t>(id);
  return index < node_names_.size() ? node_names_[index] : "?";
}

}  // namespace mooncake::serve
