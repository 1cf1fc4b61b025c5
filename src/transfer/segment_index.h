// SegmentIndex: which pieces of memory, of many that may overlap, share bytes with a range.
//
// Pieces are kept by length, a class for each power of two, and in a class by where they begin:
//
//   class k    lengths 2^k to 2^(k+1) - 1    what shares bytes with [begin, end) begins in [begin - 2^(k+1) + 2, end)
//
// So a question looks at one short run in each class that has anything. A run also has pieces that end just before
// `begin`; they overlap each other by then, so there are few of them unless somebody registers one place many times.
//
// Thread-compatible.
#pragma once

#include <absl/container/btree_set.h>

#include <array>
#include <bit>
#include <cstdint>
#include <utility>

#include "base/bytes.h"

namespace mooncake::transfer {

class SegmentIndex {
 public:
  /// A piece of at least one byte, by a number that tells it from others with the same begin. O(log pieces).
  void add(ConstByteSpan memory, std::uint32_t number) {
    const unsigned length = length_class(memory.size());
    classes_[length].insert({address(memory), memory.size(), number});
    used_ |= 1ull << length;
  }
  void remove(ConstByteSpan memory, std::uint32_t number) {
    const unsigned length = length_class(memory.size());
    classes_[length].erase({address(memory), memory.size(), number});
    if (classes_[length].empty()) used_ &= ~(1ull << length);
  }

  /// Calls `visit(number)` for each piece that shares bytes with `range`, long ones first. O(classes x log pieces +
  /// those found).
  template <typename Visit>
  void overlapping(ConstByteSpan range, Visit visit) const {
    if (range.empty()) return;
    const std::uintptr_t begin = address(range);
    const std::uintptr_t last = begin + (range.size() - 1);
    for (std::uint64_t left = used_; left != 0;) {
      const auto length = static_cast<unsigned>(std::bit_width(left) - 1);
      left &= ~(1ull << length);
      const std::uintptr_t longest = (2ull << length) - 1;  // of class 63 all ones, as it should be
      const Piece first{.begin = begin >= longest ? begin - longest + 1 : 0};
      for (auto at = classes_[length].lower_bound(first); at != classes_[length].end() && at->begin <= last; ++at) {
        if (at->begin + (at->bytes - 1) >= begin) visit(at->number);
      }
    }
  }

 private:
  struct Piece {
    std::uintptr_t begin = 0;
    std::size_t bytes = 0;
    std::uint32_t number = 0;
    auto operator<=>(const Piece&) const = default;
  };

  static std::uintptr_t address(ConstByteSpan memory) { return reinterpret_cast<std::uintptr_t>(memory.data()); }
  static unsigned length_class(std::size_t bytes) { return static_cast<unsigned>(std::bit_width(bytes) - 1); }

  std::array<absl::btree_set<Piece>, 64> classes_;
  std::uint64_t used_ = 0;  // bit k: class k has pieces
};

}  // namespace mooncake::transfer
