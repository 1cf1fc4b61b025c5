#include "store/core/eviction/frequency_policy.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace mooncake::store {

FrequencyPolicy::Rank FrequencyPolicy::rank(Id id, std::uint64_t uses, const Use& use) {
  const std::uint32_t depth = ties_ == Ties::kDepth ? use.depth : 0;
  return {
      .uses = uses, .from_the_end = std::numeric_limits<std::uint32_t>::max() - depth, .last_use = ++uses_, .id = id};
}

void FrequencyPolicy::insert(Id id, const Use& use) {
  if (id >= ranks_.size()) ranks_.resize(std::size_t{id} + 1);
  ranks_[id] = rank(id, 0, use);
  CHECK(order_.insert(ranks_[id]).second);
}

void FrequencyPolicy::touch(Id id, const Use& use) {
  auto node = order_.extract(ranks_.at(id));
  CHECK(!node.empty());
  ranks_[id] = rank(id, ranks_[id].uses + 1, use);
  node.value() = ranks_[id];
  order_.insert(std::move(node));
}

void FrequencyPolicy::remove(Id id) { CHECK(order_.erase(ranks_.at(id)) == 1); }

std::optional<EvictionPolicy::Id> FrequencyPolicy::evict(absl::FunctionRef<bool(Id)> may_go) {
  const auto victim = std::ranges::find_if(order_, [&](const Rank& rank) { return may_go(rank.id); });
  if (victim == order_.end()) return std::nullopt;
  const Id id = victim->id;
  order_.erase(victim);
  return id;
}

}  // namespace mooncake::store
