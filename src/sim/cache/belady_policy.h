// BeladyPolicy: evicts the object whose next use is furthest away: the optimum for single objects that must come in,
// and a bound that no policy without knowledge of the future can pass. O(log n).
//
// Source: Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems Journal 1966.
#pragma once

#include <set>
#include <utility>
#include <vector>

#include "store/core/eviction/eviction_policy.h"

namespace mooncake::sim {

class BeladyPolicy final : public store::EvictionPolicy {
 public:
  /// For every use to come, in order, the number of the next use of the same object; kNever if there is none.
  explicit BeladyPolicy(std::vector<std::uint64_t> next_uses) : next_uses_(std::move(next_uses)) {}
  static constexpr std::uint64_t kNever = UINT64_MAX;

  void insert(Id id, const Use& use) override;
  void touch(Id id, const Use& use) override;
  void remove(Id id) override;
  std::optional<Id> evict(absl::FunctionRef<bool(Id)> may_go) override;
  [[nodiscard]] std::size_t size() const override { return order_.size(); }

 private:
  const std::vector<std::uint64_t> next_uses_;
  std::size_t uses_ = 0;
  std::set<std::pair<std::uint64_t, Id>> order_;  // next use, id
  std::vector<std::uint64_t> next_;               // by id
};

}  // namespace mooncake::sim
