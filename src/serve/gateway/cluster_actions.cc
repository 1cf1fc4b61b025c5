#include "serve/gateway/cluster_actions.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/log.h"
#include "conductor/replication.h"
#include "serve/messages.h"
#include "serve/methods.h"
#include "store/core/directory.h"

namespace mooncake::serve {
namespace {

/// What a worker takes at most to fetch blocks and to put them (worker/worker_context.h), and a second for the way.
constexpr Seconds kReplicateTimeout{11};
static_assert(conductor::kHoldersMax <= store::kReplicasMax, "a node would drop what it was sent");

}  // namespace

ClusterActions::ClusterActions(store::Member self, Parts parts)
    : self_(std::move(self)), parts_(std::move(parts)), loop_(parts_.engine.executor()) {
  tick();
}

ClusterActions::~ClusterActions() { loop_.cancel(timer_); }

void ClusterActions::on_members(const std::vector<store::Member>& members) {
  const auto is_peer = [this](const store::Member& member) {
    return member.role == self_.role && member.model == self_.model;
  };
  const bool listed = std::ranges::any_of(members, [&](const auto& m) { return is_peer(m) && m.name == self_.name; });
  const bool first = std::ranges::none_of(members, [&](const auto& m) { return is_peer(m) && m.name < self_.name; });
  if (leads_ != (listed && first)) log_info("this gateway {}", leads_ ? "leads no more" : "leads");
  leads_ = listed && first;
}

// A change that was begun is carried out also by who leads no more: nothing else would take the worker up again.
void ClusterActions::tick() {
  timer_ = loop_.post_at(now() + conductor::kTickPeriod, [this] { tick(); });
  std::erase_if(changes_, [this](const Change& change) { return advance(change); });
  if (!leads_) return;
  actions_.clear();
  parts_.conductor.on_tick(now(), actions_);
  for (const conductor::Action& action : actions_) {
    switch (action.kind) {
      case conductor::Action::Kind::kChangeRole:
        change_role(action);
        break;
      case conductor::Action::Kind::kReplicate:
        replicate(action);
        break;
    }
  }
}

void ClusterActions::change_role(const conductor::Action& action) {
  const Instance* instance = parts_.instances.find(action.instance);
  if (instance == nullptr || instance->state != InstanceState::kUp) return;
  parts_.conductor.on_instance({.kind = conductor::InstanceChange::Kind::kDraining, .id = action.instance}, now());
  const Change change{.instance = action.instance, .role = action.role, .epoch = instance->member.epoch};
  if (!advance(change)) changes_.push_back(change);
}

bool ClusterActions::advance(const Change& change) {
  const Instance* instance = parts_.instances.find(change.instance);
  if (instance->state != InstanceState::kUp || instance->member.epoch != change.epoch) return true;  // it has ended
  if (parts_.in_use(change.instance)) return false;
  ask(*instance, change.role);
  return true;
}

void ClusterActions::ask(const Instance& instance, conductor::Role role) {
  const std::string wanted = role == conductor::Role::kPrefill ? "prefill" : "decode";
  log_info("asking {} to serve as {}", instance.member.name, wanted);
  call(instance, kMethodChangeRole, encode_change_role(wanted), kStatsTimeout,
       [this, id = instance.id](const Status& status) {
         if (!status.ok()) log_warn("{} keeps its role: {}", parts_.instances.name(id), status.to_string());
         parts_.instances.check(id);  // that it drains is known sooner
       });
}

// What was not copied is no loss: a request that needs it fetches it.
void ClusterActions::replicate(const conductor::Action& action) {
  for (const Instance* instance : parts_.instances.list()) {
    if (instance->node != action.to || instance->role != conductor::Role::kPrefill) continue;
    if (instance->state != InstanceState::kUp) continue;
    log_debug("{} shall copy {} blocks to its node", instance->member.name, action.keys.size());
    return call(*instance, kMethodReplicate, encode_replicate(action.keys), kReplicateTimeout,
                [name = instance->member.name](const Status& status) {
                  if (!status.ok()) log_debug("{} has copied nothing: {}", name, status.to_string());
                });
  }
}

void ClusterActions::call(const Instance& instance, std::uint16_t method, std::string payload, Nanos timeout,
                          std::function<void(const Status&)> answered) {
  const auto peer = parts_.engine.connect(instance.member.endpoint);
  if (!peer.ok()) return answered(peer.status());
  parts_.engine.call(*peer, method, std::move(payload), now() + timeout,
                     [alive = std::weak_ptr(alive_), answered = std::move(answered)](const Result<std::string>& reply) {
                       if (!alive.expired()) answered(reply.ok() ? Status::ok_status() : reply.status());
                     });
}

}  // namespace mooncake::serve
