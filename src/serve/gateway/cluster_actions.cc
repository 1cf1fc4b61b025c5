#include "serve/gateway/cluster_actions.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "serve/messages.h"
#include "serve/methods.h"

namespace mooncake::serve {

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
  for (const conductor::Action& action : actions_) begin(action);
}

void ClusterActions::begin(const conductor::Action& action) {
  CHECK(action.kind == conductor::Action::Kind::kChangeRole);
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
  const auto peer = parts_.engine.connect(instance.member.endpoint);
  if (!peer.ok()) return log_warn("{} cannot be asked: {}", instance.member.name, peer.status().to_string());
  parts_.engine.call(*peer, kMethodChangeRole, encode_change_role(wanted), now() + kStatsTimeout,
                     [this, id = instance.id, alive = std::weak_ptr(alive_)](const Result<std::string>& reply) {
                       if (alive.expired()) return;
                       if (!reply.ok()) {
                         log_warn("{} keeps its role: {}", parts_.instances.name(id), reply.status().to_string());
                       }
                       parts_.instances.check(id);  // that it drains is known sooner
                     });
}

}  // namespace mooncake::serve
