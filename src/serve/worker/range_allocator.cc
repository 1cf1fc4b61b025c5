#include "serve/worker/range_allocator.h"

#include "base/check.h"

namespace mooncake::serve {

RangeAllocator::RangeAllocator(std::uint64_t size) : size_(size) {
  if (size > 0) free_.emplace(0, size);
}

std::optional<std::uint64_t> RangeAllocator::allocate(std::uint64_t length) {
  CHECK(length > 0);
  for (auto range = free_.begin(); range != free_.end(); ++range) {
    if (range->second < length) continue;
    const std::uint64_t offset = range->first;
    const std::uint64_t rest = range->second - length;
    free_.erase(range);
    if (rest > 0) free_.emplace(offset + length, rest);
    used_ += length;
    return offset;
  }
  return std::nullopt;
}

void RangeAllocator::free(std::uint64_t offset, std::uint64_t length) {
  CHECK(length > 0 && offset <= size_ && length <= size_ - offset && length <= used_);
  used_ -= length;
  auto next = free_.lower_bound(offset);
  CHECK(next == free_.end() || offset + length <= next->first);
  if (next != free_.end() && next->first == offset + length) {
    length += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    const auto previous = std::prev(next);
    CHECK(previous->first + previous->second <= offset);
    if (previous->first + previous->second == offset) {
      previous->second += length;
      return;
    }
  }
  free_.emplace(offset, length);
}

}  // namespace mooncake::serve
