#include "store/core/eviction/sieve_policy.h"

namespace mooncake::store {

void SievePolicy::insert(Id id, const Use&) {
  if (id >= used_.size()) used_.resize(std::size_t{id} + 1);
  used_[id] = false;
  line_.push_newest(id);
}

void SievePolicy::touch(Id id, const Use&) { used_.at(id) = true; }

void SievePolicy::remove(Id id) {
  if (hand_ == id) hand_ = line_.newer(id);
  line_.remove(id);
}

std::optional<EvictionPolicy::Id> SievePolicy::evict(absl::FunctionRef<bool(Id)> may_go) {
  // The first round takes the marks, so the second finds a victim if there is one.
  for (std::size_t step = 0; step < 2 * line_.size(); ++step) {
    if (!hand_) hand_ = line_.oldest();
    const Id here = *hand_;
    const bool stays = !may_go(here);
    if (!stays && !used_[here]) {
      remove(here);
      return here;
    }
    if (!stays) used_[here] = false;
    hand_ = line_.newer(here);
  }
  return std::nullopt;
}

}  // namespace mooncake::store
