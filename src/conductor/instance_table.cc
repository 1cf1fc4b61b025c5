#include "conductor/instance_table.h"

#include <algorithm>

#include "base/check.h"

namespace mooncake::conductor {

void InstanceTable::apply(const InstanceChange& change) {
  const auto index = static_cast<std::size_t>(change.id);
  CHECK(index < kInstancesMax);
  if (change.kind == InstanceChange::Kind::kUp) {
    if (index >= instances_.size()) instances_.resize(index + 1);
    instances_[index] = change;
    return;
  }
  if (index >= instances_.size() || !instances_[index]) return;
  if (change.kind == InstanceChange::Kind::kDown) {
    instances_[index].reset();
  } else {
    instances_[index]->kind = InstanceChange::Kind::kDraining;
  }
}

const InstanceChange* InstanceTable::usable(InstanceId id, Role role) const {
  const auto index = static_cast<std::size_t>(id);
  if (index >= instances_.size() || !instances_[index]) return nullptr;
  const InstanceChange& instance = *instances_[index];
  return instance.role == role && instance.kind == InstanceChange::Kind::kUp ? &instance : nullptr;
}

bool InstanceTable::exists(InstanceId id) const {
  const auto index = static_cast<std::size_t>(id);
  return index < instances_.size() && instances_[index].has_value();
}

std::size_t InstanceTable::draining() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      instances_, [](const auto& instance) { return instance && instance->kind == InstanceChange::Kind::kDraining; }));
}

std::string_view InstanceTable::name(InstanceId id) const {
  return exists(id) ? std::string_view(instances_[static_cast<std::size_t>(id)]->name) : "?";
}

}  // namespace mooncake::conductor
