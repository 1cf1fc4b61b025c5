// ChangeLog: the directory's recent changes, numbered, for those who follow it.
//
// A follower remembers the number of the last change it has and asks for what came after. One who fell behind further
// than the log reaches, or asks with a number from the future (of an earlier master), takes a whole copy instead.
//
// Pure. Thread-compatible.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/key128.h"

namespace mooncake::store {

/// Index of a node's name in the master's table; never reused for another name.
using NodeSlot = std::uint16_t;

struct DirectoryChange {
  enum class Kind : std::uint8_t { kStored, kRemoved, kCleared };
  Kind kind = Kind::kStored;
  NodeSlot node = 0;
  Key128 key;  ///< not with kCleared
  auto operator<=>(const DirectoryChange&) const = default;
};

class ChangeLog {
 public:
  /// Keeps the last `changes_max` changes.
  explicit ChangeLog(std::size_t changes_max) : changes_max_(changes_max) {}

  void append(const DirectoryChange& change);
  /// The number of the last change; 0 before the first.
  [[nodiscard]] std::uint64_t last() const { return first_ + changes_.size() - 1; }
  /// Up to `changes_max` changes after number `after`, the next one first. Nothing when the log does not reach back so
  /// far.
  [[nodiscard]] std::optional<std::vector<DirectoryChange>> read(std::uint64_t after, std::size_t changes_max) const;

 private:
  const std::size_t changes_max_;
  std::uint64_t first_ = 1;  // number of changes_.front()
  std::deque<DirectoryChange> changes_;
};

}  // namespace mooncake::store
