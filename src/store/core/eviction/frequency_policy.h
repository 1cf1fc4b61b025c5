// FrequencyPolicy: the object with the fewest uses since it came goes first (lfu, length-aware). What is counted is
// forgotten when the object goes. O(log n).
#pragma once

#include <compare>
#include <set>
#include <vector>

#include "store/core/eviction/eviction_policy.h"

namespace mooncake::store {

class FrequencyPolicy final : public EvictionPolicy {
 public:
  /// Who goes first of those with the same count.
  enum class Ties : std::uint8_t {
    kLastUse,  ///< the least recently used
    kDepth,    ///< the deepest in its prefix, then the least recently used
  };
  explicit FrequencyPolicy(Ties ties) : ties_(ties) {}

  void insert(Id id, const Use& use) override;
  void touch(Id id, const Use& use) override;
  void remove(Id id) override;
  std::optional<Id> evict(absl::FunctionRef<bool(Id)> may_go) override;
  [[nodiscard]] std::size_t size() const override { return order_.size(); }

 private:
  /// Compared field by field: the least goes first.
  struct Rank {
    std::uint64_t uses = 0;
    std::uint32_t from_the_end = 0;  // falls with depth
    std::uint64_t last_use = 0;      // unique
    Id id = 0;
    auto operator<=>(const Rank&) const = default;
  };
  Rank rank(Id id, std::uint64_t uses, const Use& use);

  const Ties ties_;
  std::uint64_t uses_ = 0;  // of all objects: the clock of last_use
  std::set<Rank> order_;
  std::vector<Rank> ranks_;  // by id
};

}  // namespace mooncake::store
