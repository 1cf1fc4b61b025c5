// LruList: small dense ids in the order of their last use. An intrusive doubly linked list over two arrays: no
// allocation once the largest id has been seen, O(1) an operation.
//
// Pure. Thread-compatible.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace mooncake::store {

class LruList {
 public:
  using Id = std::uint32_t;

  LruList();

  /// Adds `id` as the most recently used. It must not be in the list.
  void push_newest(Id id);
  /// Takes `id` out. It must be in the list.
  void remove(Id id);
  /// Makes `id`, which is in the list, the most recently used.
  void touch(Id id);

  [[nodiscard]] bool contains(Id id) const;
  [[nodiscard]] std::size_t size() const { return size_; }
  /// The least recently used; nothing when the list is empty.
  [[nodiscard]] std::optional<Id> oldest() const;
  /// The one used next after `id`, which is in the list; nothing when `id` is the newest.
  [[nodiscard]] std::optional<Id> newer(Id id) const;

 private:
  struct Link {
    std::uint32_t older;
    std::uint32_t newer;
  };
  // Link 0 is the ring's head: its `newer` is the oldest id, its `older` the newest. Id i has link i + 1.
  std::vector<Link> links_;
  std::size_t size_ = 0;
};

}  // namespace mooncake::store
