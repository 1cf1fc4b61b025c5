#include "sim/cache/belady_policy.h"

#include <algorithm>
#include <ranges>

#include "base/check.h"

namespace mooncake::sim {

void BeladyPolicy::insert(Id id, const Use&) {
  if (id >= next_.size()) next_.resize(std::size_t{id} + 1);
  next_[id] = next_uses_.at(uses_++);
  CHECK(order_.emplace(next_[id], id).second);
}

void BeladyPolicy::touch(Id id, const Use& use) {
  remove(id);
  insert(id, use);
}

void BeladyPolicy::remove(Id id) { CHECK(order_.erase({next_.at(id), id}) == 1); }

std::optional<BeladyPolicy::Id> BeladyPolicy::evict(absl::FunctionRef<bool(Id)> may_go) {
  for (const auto& [next, id] : std::views::reverse(order_)) {
    if (!may_go(id)) continue;
    const Id victim = id;
    order_.erase({next, victim});
    return victim;
  }
  return std::nullopt;
}

}  // namespace mooncake::sim
