#include "kvcache/holder_sets.h"

#include <algorithm>

#include "base/check.h"
#include "base/rng.h"

namespace mooncake::kvcache {

HolderSets::HolderSets() : sets_(1), ids_(0, Hash{&sets_}, Equal{&sets_}) {}

bool HolderSets::contains(SetId set, HolderId holder) const { return std::ranges::binary_search(members(set), holder); }

SetId HolderSets::add(SetId set, HolderId holder) {
  if (last_add_.is(set, holder)) return take(last_add_);
  const Members& members = sets_[set].members;
  const auto at = std::ranges::lower_bound(members, holder);
  if (at != members.end() && *at == holder) return set;
  scratch_ = members;
  scratch_.insert(scratch_.begin() + (at - members.begin()), holder);
  const SetId to = intern(sets_[set].hash ^ splitmix64(holder));
  last_add_ = {.from = set, .holder = holder, .to = to, .valid = true};
  return take(last_add_);
}

SetId HolderSets::remove(SetId set, HolderId holder) {
  if (last_remove_.is(set, holder)) return take(last_remove_);
  const Members& members = sets_[set].members;
  const auto at = std::ranges::lower_bound(members, holder);
  if (at == members.end() || *at != holder) return set;
  scratch_ = members;
  scratch_.erase(scratch_.begin() + (at - members.begin()));
  const SetId to = scratch_.empty() ? kNobody : intern(sets_[set].hash ^ splitmix64(holder));
  last_remove_ = {.from = set, .holder = holder, .to = to, .valid = true};
  return take(last_remove_);
}

SetId HolderSets::intern(std::uint64_t hash) {
  const auto known = ids_.find(Wanted{.members = scratch_, .hash = hash});
  if (known != ids_.end()) return *known;
  SetId id = static_cast<SetId>(sets_.size());
  if (free_.empty()) {
    sets_.emplace_back();
  } else {
    id = free_.back();
    free_.pop_back();
  }
  sets_[id] = {.members = scratch_, .hash = hash, .users = 0};
  ids_.insert(id);
  return id;
}

SetId HolderSets::take(const Step& step) {
  const SetId to = step.to;  // releasing may reset the step
  if (to != kNobody) ++sets_[to].users;
  release(step.from);
  return to;
}

void HolderSets::release(SetId id) {
  if (id == kNobody) return;
  Set& set = sets_[id];
  CHECK(set.users > 0);
  if (--set.users > 0) return;
  ids_.erase(id);
  set = {};
  free_.push_back(id);
  for (Step* step : {&last_add_, &last_remove_}) {
    if (step->from == id || step->to == id) step->valid = false;
  }
}

}  // namespace mooncake::kvcache
