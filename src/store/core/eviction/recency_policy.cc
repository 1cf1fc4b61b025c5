#include "store/core/eviction/recency_policy.h"

namespace mooncake::store {

void RecencyPolicy::insert(Id id, const Use&) { line_.push_newest(id); }

void RecencyPolicy::touch(Id id, const Use&) {
  if (order_ == Order::kLastUse) line_.touch(id);
}

void RecencyPolicy::remove(Id id) { line_.remove(id); }

std::optional<EvictionPolicy::Id> RecencyPolicy::evict(absl::FunctionRef<bool(Id)> may_go) {
  std::optional<Id> victim = line_.oldest();
  while (victim && !may_go(*victim)) victim = line_.newer(*victim);
  if (victim) line_.remove(*victim);
  return victim;
}

}  // namespace mooncake::store
