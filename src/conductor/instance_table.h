// InstanceTable: which instances exist and may take new requests. Thread-compatible.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "conductor/conductor.h"

namespace mooncake::conductor {

/// Ids are dense and index a table; workers that restarted get new ones.
inline constexpr std::size_t kInstancesMax = 1u << 20;

class InstanceTable {
 public:
  void apply(const InstanceChange& change);

  /// The instance, if it is up, of that role, and not draining.
  [[nodiscard]] const InstanceChange* usable(InstanceId id, Role role) const;
  /// True if it is up, draining or not.
  [[nodiscard]] bool exists(InstanceId id) const;
  /// How many drain.
  [[nodiscard]] std::size_t draining() const;
  /// Its name, also while it drains; "?" if it is not up.
  [[nodiscard]] std::string_view name(InstanceId id) const;

  /// Calls `visit(const InstanceChange&)` for every usable instance of a role, by ascending id.
  template <typename Visit>
  void for_each_usable(Role role, const Visit& visit) const {
    for (const auto& instance : instances_) {
      if (instance && instance->role == role && instance->kind == InstanceChange::Kind::kUp) visit(*instance);
    }
  }

 private:
  std::vector<std::optional<InstanceChange>> instances_;  // by id; the last change of each, kUp or kDraining
};

}  // namespace mooncake::conductor
