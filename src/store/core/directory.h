// Directory: which nodes hold which object.
//
// The first publication of a key decides its value: a node that publishes other bytes (another crc32c) under the key is
// refused and drops its copy. Copies of the same bytes are welcome up to kReplicasMax. When a node's epoch ends
// everything it held is forgotten at once.
//
// Memory: 28 bytes an entry and 16 a replica, about 100 bytes an object in these hash tables at their usual load.
//
// Pure. Thread-compatible. O(1) an operation; clear() and keys_of() are linear in the node's objects.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/key128.h"
#include "store/core/change_log.h"

namespace mooncake::store {

/// Copies of one object that the directory remembers. More of them help nobody, and four fit an entry of 16 bytes.
inline constexpr std::size_t kReplicasMax = 4;

class Directory {
 public:
  explicit Directory(std::size_t log_changes_max) : log_(log_changes_max) {}

  /// Notes that `node` holds `key`. @return false if it must drop its copy: other bytes are published under the key, or
  /// enough nodes hold it. Repeating a publication is fine.
  bool store(NodeSlot node, const Key128& key, std::uint32_t crc32c);
  /// Notes that it no longer does. No-op if it did not.
  void remove(NodeSlot node, const Key128& key);
  /// Forgets everything that `node` held.
  void clear(NodeSlot node);

  /// The nodes that hold `key`, first publisher first. Valid until the next change.
  [[nodiscard]] std::span<const NodeSlot> find(const Key128& key) const;
  [[nodiscard]] std::vector<Key128> keys_of(NodeSlot node) const;
  /// One more than the highest node slot seen.
  [[nodiscard]] std::size_t node_slots() const { return held_.size(); }
  [[nodiscard]] std::size_t objects() const { return entries_.size(); }
  [[nodiscard]] const ChangeLog& log() const { return log_; }

 private:
  struct Entry {
    std::uint32_t crc32c = 0;
    std::uint16_t count = 0;
    std::array<NodeSlot, kReplicasMax> nodes{};
  };
  /// Takes `node` out of the entry; forgets an entry without nodes.
  void forget(NodeSlot node, const Key128& key);

  absl::flat_hash_map<Key128, Entry> entries_;
  std::vector<absl::flat_hash_set<Key128>> held_;  // by node slot
  ChangeLog log_;
};

}  // namespace mooncake::store
