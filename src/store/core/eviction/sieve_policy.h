// SievePolicy: objects in the order of their arrival, a mark on each that was used, and a hand that moves from the
// oldest towards the newest. It takes marks away and evicts the first object without one; then it stays there. Behind
// the newest it begins at the oldest again. A use sets a mark and moves nothing.
//
// O(1) a use; an eviction passes a mark at most once, plus the objects that may not go.
//
// Source: Zhang, Yang, Yue, Vigfusson, Rashmi, "SIEVE is Simpler than LRU", NSDI 2024.
#pragma once

#include <vector>

#include "store/core/eviction/eviction_policy.h"
#include "store/core/lru_list.h"

namespace mooncake::store {

class SievePolicy final : public EvictionPolicy {
 public:
  void insert(Id id, const Use& use) override;
  void touch(Id id, const Use& use) override;
  void remove(Id id) override;
  std::optional<Id> evict(absl::FunctionRef<bool(Id)> may_go) override;
  [[nodiscard]] std::size_t size() const override { return line_.size(); }

 private:
  LruList line_;  // by arrival
  std::vector<bool> used_;
  std::optional<Id> hand_;  // nothing: at the oldest
};

}  // namespace mooncake::store
