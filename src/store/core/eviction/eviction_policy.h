// EvictionPolicy: which of a cache's objects goes when another needs the room.
//
// The cache owns the objects and numbers them with small dense ids; a policy sees their uses and names victims. Store
// nodes (NodeCore) and the simulator's caches run the same ones; but length-aware has no use for a node, whose puts do
// not say how deep in its prefix a block stands.
//
//   lru           the one whose last use is the longest ago
//   fifo          the oldest
//   lfu           the one with the fewest uses since it came; of those the least recently used
//   length-aware  as lfu, but of those with the fewest uses the one deepest in its prefix: a block is worth nothing
//                 without the blocks before it, so prefixes are cut from their ends
//   sieve         the first that was not used since a hand passed it (Zhang et al., NSDI 2024)
//   s3fifo        newcomers prove themselves in a small queue before they enter the main one (Yang et al., SOSP 2023)
//
// Pure: deterministic, no clock. Thread-compatible.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "base/status.h"

namespace mooncake::store {

class EvictionPolicy {
 public:
  /// Of an object in the cache; small numbers, used again after remove() or evict().
  using Id = std::uint32_t;

  /// What is known of an object when it is used.
  struct Use {
    std::uint64_t key = 0;    ///< names the object also while it is not in the cache
    std::uint32_t depth = 0;  ///< objects before it in its prefix
  };

  virtual ~EvictionPolicy() = default;

  /// An object came into the cache. Its id must not be in use.
  virtual void insert(Id id, const Use& use) = 0;
  /// It was used. Like remove(), for ids that are in the cache only.
  virtual void touch(Id id, const Use& use) = 0;
  /// It went for other reasons than room.
  virtual void remove(Id id) = 0;
  /// Takes out the next victim among the objects that may go. Costs, beside what the policy needs, a question for each
  /// that comes before it and may not go; those keep their place. `may_go` does not touch the policy.
  /// @return nothing if none may go; then nothing has changed.
  virtual std::optional<Id> evict(absl::FunctionRef<bool(Id)> may_go) = 0;

  [[nodiscard]] virtual std::size_t size() const = 0;
};

/// How nodes evict unless they are told otherwise; in the simulator's tools its name is also "default".
inline constexpr std::string_view kDefaultEviction = "lru";

/// The names above, in that order.
std::span<const std::string_view> eviction_policy_names();

/// @return kInvalidArgument for another name, with those that there are.
Result<std::unique_ptr<EvictionPolicy>> make_eviction_policy(std::string_view name);

}  // namespace mooncake::store
