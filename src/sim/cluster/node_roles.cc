#include "sim/cluster/node_roles.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/check.h"

namespace mooncake::sim {

using conductor::InstanceChange;
using conductor::InstanceId;
using conductor::NodeId;
using conductor::Role;

InstanceSlots instance_slots(const ClusterConfig& config) {
  if (!config.elastic) {
    return {.prefill = config.prefill, .decode = config.decode, .first_decode_node = config.prefill};
  }
  return {.prefill = config.prefill + config.decode, .decode = config.prefill + config.decode};
}

NodeRoles::NodeRoles(const ClusterConfig& config, conductor::Conductor& conductor)
    : config_(config),
      slots_(instance_slots(config)),
      conductor_(conductor),
      in_flight_(slots_.prefill + slots_.decode),
      draining_(in_flight_.size()),
      is_prefill_(config.prefill + config.decode),
      usable_prefill_(config.prefill),
      usable_decode_(config.decode),
      prefill_nodes_(config.prefill) {
  for (std::uint32_t i = 0; i < config.prefill; ++i) conductor_.on_instance(instance(InstanceId{i}), Instant{});
  std::fill_n(is_prefill_.begin(), config.prefill, true);
  const std::uint32_t first = slots_.prefill + slots_.decode - config.decode;
  for (std::uint32_t i = 0; i < config.decode; ++i) conductor_.on_instance(instance(InstanceId{first + i}), Instant{});
}

InstanceChange NodeRoles::instance(InstanceId id) const {
  const auto number = static_cast<std::uint32_t>(id);
  if (number < slots_.prefill) {
    return {
        .id = id, .role = Role::kPrefill, .name = fmt::format("prefill-{}", number), .attached_node = NodeId{number}};
  }
  const std::uint32_t decode = number - slots_.prefill;
  return {.id = id,
          .role = Role::kDecode,
          .name = fmt::format("decode-{}", decode),
          .attached_node = NodeId{slots_.first_decode_node + decode},
          .sequences_max = UINT32_MAX,
          .kv_tokens_max = config_.prefill_only ? 0 : config_.decode_kv_tokens};
}

InstanceId NodeRoles::instance_of(std::uint32_t node) const {
  return InstanceId{is_prefill_[node] ? node : slots_.prefill + node - slots_.first_decode_node};
}

void NodeRoles::done(InstanceId instance, Instant now) {
  const auto index = static_cast<std::size_t>(instance);
  CHECK(in_flight_[index] > 0);
  if (--in_flight_[index] == 0 && draining_[index]) finish(instance, now);
}

void NodeRoles::change(const conductor::Action& action, Instant now) {
  CHECK(config_.elastic && action.kind == conductor::Action::Kind::kChangeRole);
  const auto index = static_cast<std::size_t>(action.instance);
  draining_[index] = true;
  InstanceChange draining = instance(action.instance);
  CHECK(draining.role != action.role);
  --usable(draining.role == Role::kPrefill);
  draining.kind = InstanceChange::Kind::kDraining;
  conductor_.on_instance(draining, now);
  if (in_flight_[index] == 0) finish(action.instance, now);
}

void NodeRoles::finish(InstanceId instance, Instant now) {
  const auto number = static_cast<std::uint32_t>(instance);
  const std::uint32_t node = number < slots_.prefill ? number : number - slots_.prefill;
  draining_[number] = false;
  InstanceChange down = this->instance(instance);
  down.kind = InstanceChange::Kind::kDown;
  conductor_.on_instance(down, now);
  take_other_role(node);
  repair(node, now);
}

void NodeRoles::take_other_role(std::uint32_t node) {
  prefill_nodes_ += is_prefill_[node] ? -1 : 1;
  is_prefill_[node] = !is_prefill_[node];
  ++changes_;
}

void NodeRoles::fail(std::uint32_t node, Instant now) {
  InstanceChange down = instance(instance_of(node));
  down.kind = InstanceChange::Kind::kDown;
  conductor_.on_instance(down, now);
  const auto index = static_cast<std::size_t>(down.id);
  if (!draining_[index]) {
    --usable(is_prefill_[node]);
    return;
  }
  draining_[index] = false;
  take_other_role(node);
}

void NodeRoles::repair(std::uint32_t node, Instant now) {
  conductor_.on_instance(instance(instance_of(node)), now);
  ++usable(is_prefill_[node]);
}

}  // namespace mooncake::sim
