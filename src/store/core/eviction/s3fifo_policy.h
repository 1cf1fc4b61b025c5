// S3FifoPolicy: newcomers enter a small queue, a tenth of the cache. Who was used twice or more when the head of that
// queue comes to it moves to the main queue; the others go, and their keys are remembered for as long as the main queue
// has objects. A newcomer whose key is remembered enters the main queue at once. The main queue gives its head another
// round for each of its last uses, three at most.
//
// O(1) amortised, plus the objects that may not go.
//
// Source: Yang, Zhang, Qiu, Yue, Rashmi, "FIFO Queues are All You Need for Cache Eviction", SOSP 2023. Sizes are shares
// of what the cache holds now, since its capacity in objects is not known when objects differ in size.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <deque>
#include <vector>

#include "store/core/eviction/eviction_policy.h"
#include "store/core/lru_list.h"

namespace mooncake::store {

class S3FifoPolicy final : public EvictionPolicy {
 public:
  void insert(Id id, const Use& use) override;
  void touch(Id id, const Use& use) override;
  void remove(Id id) override;
  std::optional<Id> evict(absl::FunctionRef<bool(Id)> may_go) override;
  [[nodiscard]] std::size_t size() const override { return small_.size() + main_.size(); }

 private:
  struct Object {
    std::uint64_t key = 0;
    std::uint8_t uses = 0;  // capped
  };
  std::optional<Id> evict_from_small(absl::FunctionRef<bool(Id)> may_go);
  std::optional<Id> evict_from_main(absl::FunctionRef<bool(Id)> may_go);
  void remember(std::uint64_t key);
  bool recall(std::uint64_t key);

  LruList small_;  // by arrival
  LruList main_;
  std::vector<Object> objects_;  // by id
  // Keys of those that left the small queue, in that order. A key recalled early stays in the line with a stamp that
  // the table no longer has.
  std::deque<std::pair<std::uint64_t, std::uint64_t>> ghosts_;  // key, stamp
  absl::flat_hash_map<std::uint64_t, std::uint64_t> ghost_stamps_;
  std::uint64_t stamps_ = 0;
};

}  // namespace mooncake::store
