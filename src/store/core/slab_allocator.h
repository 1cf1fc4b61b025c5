// SlabAllocator: where in the pool each object lies.
//
// The pool is cut into pages. An object of more than half a page gets whole pages, neighbours if there are any, several
// extents if not: so fragmentation never refuses an object that would fit. Smaller objects share a page with others of
// the same size (rounded up to kSlotAlign): the sizes of the traffic become the size classes, and a page whose last
// object leaves goes back to the free pages and can serve any class.
//
//   page   0      1      2      3      4      5
//        +------+------+------+------+------+------+
//        | A  A | B  B | C  C   C  . | free | A  A |     A: one object of 48 KiB in two extents (pages 0 and 5 ...),
//        +------+------+------+------+------+------+     C: a slab page with three small objects and a free slot
//
// A page is *held* while something in it must not move or go (a pin, a put in progress); the owner says so, and learns
// here whether evicting everything else could make room.
//
// Pure: it hands out offsets and touches no memory. Thread-compatible. O(log free runs) an operation.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "store/core/page_runs.h"

namespace mooncake::store {

/// Slots of small objects start at multiples of a cache line.
inline constexpr std::uint32_t kSlotAlign = 64;

/// `bytes` of the pool from `offset` on.
struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  auto operator<=>(const Extent&) const = default;
};
/// The pieces of one object, in order. Nearly always one.
using Extents = std::vector<Extent>;

class SlabAllocator {
 public:
  using OwnerId = std::uint32_t;

  /// `page_bytes` is a power of two, at least 2 * kSlotAlign. A last part of the pool that fills no page is unused.
  SlabAllocator(std::uint64_t pool_bytes, std::uint32_t page_bytes);

  /// Room for `bytes`, at least 1, whose extents sum up to exactly that. Nothing when it does not fit as things are.
  std::optional<Extents> allocate(std::uint64_t bytes, OwnerId owner);
  /// Gives back what allocate() returned. It must not be held.
  void free(const Extents& extents);

  /// True if allocate(bytes) would succeed now.
  [[nodiscard]] bool fits(std::uint64_t bytes) const;
  /// True if it would succeed when every page that is not held were free.
  [[nodiscard]] bool fits_without_unheld(std::uint64_t bytes) const;
  /// True if objects of these sizes share pages, so that the end of one makes room for the other.
  [[nodiscard]] bool same_class(std::uint64_t a, std::uint64_t b) const;
  /// Pages that an object of this size takes by itself; 0 if it is small.
  [[nodiscard]] std::uint32_t whole_pages(std::uint64_t bytes) const;

  /// Says that an allocation must stay. Once an allocation; release() ends it.
  void hold(const Extents& extents);
  void release(const Extents& extents);
  /// True if a hold covers the slab page of a small object; false for one in whole pages.
  [[nodiscard]] bool page_held(const Extents& extents) const;
  /// The owners of everything in the slab page of a small object, itself included; empty for one in whole pages.
  [[nodiscard]] std::vector<OwnerId> owners_beside(const Extents& extents) const;

  [[nodiscard]] std::uint32_t page_count() const { return page_count_; }
  [[nodiscard]] std::uint32_t free_pages() const { return runs_.free_pages(); }
  [[nodiscard]] std::uint32_t held_pages() const { return held_pages_; }
  [[nodiscard]] std::uint32_t page_bytes() const { return page_bytes_; }

 private:
  struct SlabPage {
    std::uint32_t slot_bytes = 0;
    std::uint32_t held = 0;                 // allocations on hold
    std::vector<std::uint32_t> free_slots;  // a stack
    std::vector<OwnerId> owners;            // by slot; kNoOwner: free
    std::uint32_t partial_index = 0;        // position in its class's list, while it has a free slot
  };

  [[nodiscard]] std::uint32_t class_of(std::uint64_t bytes) const;  // 0: whole pages
  [[nodiscard]] std::uint32_t pages_spanned(std::uint64_t bytes) const;
  [[nodiscard]] SlabPage* slab_at(const Extents& extents) const;  // null: whole pages
  std::optional<Extents> allocate_slot(std::uint32_t slot_class, std::uint64_t bytes, OwnerId owner);
  std::optional<Extents> allocate_pages(std::uint64_t bytes);
  bool open_slab(std::uint32_t slot_class);
  void free_slot(std::uint32_t page, std::uint64_t offset);
  void list_partial(std::uint32_t page);
  void unlist_partial(std::uint32_t page);

  const std::uint32_t page_bytes_;
  const std::uint32_t page_count_;
  PageRuns runs_;
  std::uint32_t held_pages_ = 0;
  std::vector<std::unique_ptr<SlabPage>> slabs_;     // by page; null: free, or part of a large object
  std::vector<std::vector<std::uint32_t>> partial_;  // by class: slab pages with a free slot
};

}  // namespace mooncake::store
