#include "serve/gateway/cluster_actions.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/log.h"
#include "serve/messages.h"
#include "serve/methods.h"

namespace mooncake::serve {

ClusterActions::ClusterActions(store::Member self, conductor::Conductor& conductor, InstanceTable& instances,
                               transfer::TransferEngine& engine)
    : self_(std::move(self)), conductor_(conductor), instances_(instances), engine_(engine), loop_(engine.executor()) {
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

void ClusterActions::tick() {
  timer_ = loop_.post_at(loop_.clock().now() + conductor::kTickPeriod, [this] { tick(); });
  if (!leads_) return;
  actions_.clear();
  conductor_.on_tick(loop_.clock().now(), actions_);
  for (const conductor::Action& action : actions_) change_role(action);
}

void ClusterActions::change_role(const conductor::Action& action) {
  const Instance* instance = instances_.find(action.instance);
  if (instance == nullptr || instance->state != InstanceState::kUp) return;
  const std::string role = action.role == conductor::Role::kPrefill ? "prefill" : "decode";
  log_info("asking {} to serve as {}", instance->member.name, role);
  const auto peer = engine_.connect(instance->member.endpoint);
  if (!peer.ok()) return log_warn("{} cannot be asked: {}", instance->member.name, peer.status().to_string());
  engine_.call(*peer, kMethodChangeRole, encode_change_role(role), loop_.clock().now() + kStatsTimeout,
               [this, id = action.instance, alive = std::weak_ptr(alive_)](const Result<std::string>& reply) {
                 if (alive.expired()) return;
                 if (!reply.ok()) log_warn("{} keeps its role: {}", instances_.name(id), reply.status().to_string());
                 instances_.check(id);  // that it drains is known sooner
               });
}

}  // namespace mooncake::serve
