// RecencyPolicy: objects in one line, by last use (lru) or by arrival (fifo); the head of the line goes first. O(1).
#pragma once

#include "store/core/eviction/eviction_policy.h"
#include "store/core/lru_list.h"

namespace mooncake::store {

class RecencyPolicy final : public EvictionPolicy {
 public:
  enum class Order : std::uint8_t { kLastUse, kArrival };
  explicit RecencyPolicy(Order order) : order_(order) {}

  void insert(Id id, const Use& use) override;
  void touch(Id id, const Use& use) override;
  void remove(Id id) override;
  std::optional<Id> evict(absl::FunctionRef<bool(Id)> may_go) override;
  [[nodiscard]] std::size_t size() const override { return line_.size(); }

 private:
  const Order order_;
  LruList line_;
};

}  // namespace mooncake::store
