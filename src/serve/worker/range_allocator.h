// RangeAllocator: which parts of a linear space [0, size) are free. First fit over a map of free ranges that are kept
// maximal, so that space freed in any order comes back whole.
//
// Pure; thread-compatible. O(free ranges) to allocate: a worker holds tens of ranges, not thousands.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace mooncake::serve {

class RangeAllocator {
 public:
  explicit RangeAllocator(std::uint64_t size);

  /// Offset of `length` (at least 1) consecutive free units, now taken; nothing when no free range is that long.
  std::optional<std::uint64_t> allocate(std::uint64_t length);
  /// Gives back exactly what allocate() returned. CHECK-fails when any of it is free already or outside.
  void free(std::uint64_t offset, std::uint64_t length);

  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] std::uint64_t used() const { return used_; }

 private:
  const std::uint64_t size_;
  std::uint64_t used_ = 0;
  std::map<std::uint64_t, std::uint64_t> free_;  // offset to length; no two touch
};

}  // namespace mooncake::serve
