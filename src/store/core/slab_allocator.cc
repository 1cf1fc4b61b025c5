#include "store/core/slab_allocator.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace mooncake::store {
namespace {

constexpr SlabAllocator::OwnerId kNoOwner = UINT32_MAX;

}  // namespace

SlabAllocator::SlabAllocator(std::uint64_t pool_bytes, std::uint32_t page_bytes)
    : page_bytes_(page_bytes),
      page_count_(static_cast<std::uint32_t>(std::min<std::uint64_t>(pool_bytes / page_bytes, UINT32_MAX))),
      runs_(page_count_),
      slabs_(page_count_),
      partial_(page_bytes / 2 / kSlotAlign + 1) {
  CHECK(std::has_single_bit(page_bytes) && page_bytes >= 2 * kSlotAlign);
}

std::optional<Extents> SlabAllocator::allocate(std::uint64_t bytes, OwnerId owner) {
  CHECK(bytes > 0 && owner != kNoOwner);
  const std::uint32_t slot_class = class_of(bytes);
  return slot_class == 0 ? allocate_pages(bytes) : allocate_slot(slot_class, bytes, owner);
}

std::optional<Extents> SlabAllocator::allocate_pages(std::uint64_t bytes) {
  if (!fits(bytes)) return std::nullopt;
  Extents extents;
  std::uint64_t left = bytes;
  for (const PageRun& run : runs_.take(whole_pages(bytes))) {
    const std::uint64_t part = std::min(left, std::uint64_t{run.count} * page_bytes_);
    extents.push_back({std::uint64_t{run.first} * page_bytes_, part});
    left -= part;
  }
  CHECK(left == 0);
  return extents;
}

std::optional<Extents> SlabAllocator::allocate_slot(std::uint32_t slot_class, std::uint64_t bytes, OwnerId owner) {
  if (partial_[slot_class].empty() && !open_slab(slot_class)) return std::nullopt;
  const std::uint32_t page = partial_[slot_class].back();
  SlabPage& slab = *slabs_[page];
  const std::uint32_t slot = slab.free_slots.back();
  slab.free_slots.pop_back();
  CHECK(slab.owners[slot] == kNoOwner);
  slab.owners[slot] = owner;
  if (slab.free_slots.empty()) unlist_partial(page);
  return Extents{{std::uint64_t{page} * page_bytes_ + std::uint64_t{slot} * slab.slot_bytes, bytes}};
}

bool SlabAllocator::open_slab(std::uint32_t slot_class) {
  const std::vector<PageRun> run = runs_.take(1);
  if (run.empty()) return false;
  auto slab = std::make_unique<SlabPage>();
  slab->slot_bytes = slot_class * kSlotAlign;
  const std::uint32_t slots = page_bytes_ / slab->slot_bytes;
  slab->owners.assign(slots, kNoOwner);
  for (std::uint32_t slot = slots; slot-- > 0;) slab->free_slots.push_back(slot);
  slabs_[run.front().first] = std::move(slab);
  list_partial(run.front().first);
  return true;
}

void SlabAllocator::free(const Extents& extents) {
  CHECK(!extents.empty());
  if (slab_at(extents) != nullptr) {
    free_slot(static_cast<std::uint32_t>(extents.front().offset / page_bytes_), extents.front().offset);
    return;
  }
  for (const Extent& extent : extents) {
    CHECK(extent.offset % page_bytes_ == 0);
    runs_.give({static_cast<std::uint32_t>(extent.offset / page_bytes_), pages_spanned(extent.bytes)});
  }
}

void SlabAllocator::free_slot(std::uint32_t page, std::uint64_t offset) {
  SlabPage& slab = *slabs_[page];
  const auto slot = static_cast<std::uint32_t>(offset % page_bytes_ / slab.slot_bytes);
  CHECK(slab.owners[slot] != kNoOwner);
  slab.owners[slot] = kNoOwner;
  slab.free_slots.push_back(slot);
  if (slab.free_slots.size() == 1) list_partial(page);
  if (slab.free_slots.size() < slab.owners.size()) return;
  CHECK(slab.held == 0);
  unlist_partial(page);
  slabs_[page].reset();
  runs_.give({page, 1});
}

bool SlabAllocator::fits(std::uint64_t bytes) const {
  const std::uint32_t slot_class = class_of(bytes);
  if (slot_class != 0) return !partial_[slot_class].empty() || free_pages() > 0;
  return bytes <= std::uint64_t{page_count_} * page_bytes_ && whole_pages(bytes) <= free_pages();
}

bool SlabAllocator::fits_without_unheld(std::uint64_t bytes) const {
  if (bytes > std::uint64_t{page_count_} * page_bytes_) return false;
  const std::uint32_t slot_class = class_of(bytes);
  if (slot_class != 0 && !partial_[slot_class].empty()) return true;
  return std::max(1u, whole_pages(bytes)) <= page_count_ - held_pages_;
}

bool SlabAllocator::same_class(std::uint64_t a, std::uint64_t b) const {
  return class_of(a) != 0 && class_of(a) == class_of(b);
}

std::uint32_t SlabAllocator::whole_pages(std::uint64_t bytes) const {
  return class_of(bytes) != 0 ? 0 : pages_spanned(bytes);
}

std::uint32_t SlabAllocator::pages_spanned(std::uint64_t bytes) const {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>((bytes + page_bytes_ - 1) / page_bytes_, UINT32_MAX));
}

void SlabAllocator::hold(const Extents& extents) {
  if (SlabPage* slab = slab_at(extents)) {
    if (slab->held++ == 0) ++held_pages_;
    return;
  }
  for (const Extent& extent : extents) held_pages_ += pages_spanned(extent.bytes);
  CHECK(held_pages_ <= page_count_);
}

void SlabAllocator::release(const Extents& extents) {
  if (SlabPage* slab = slab_at(extents)) {
    CHECK(slab->held > 0);
    if (--slab->held == 0) --held_pages_;
    return;
  }
  for (const Extent& extent : extents) {
    CHECK(held_pages_ >= pages_spanned(extent.bytes));
    held_pages_ -= pages_spanned(extent.bytes);
  }
}

bool SlabAllocator::page_held(const Extents& extents) const {
  const SlabPage* slab = slab_at(extents);
  return slab != nullptr && slab->held > 0;
}

std::vector<SlabAllocator::OwnerId> SlabAllocator::owners_beside(const Extents& extents) const {
  std::vector<OwnerId> owners;
  if (const SlabPage* slab = slab_at(extents)) {
    std::ranges::copy_if(slab->owners, std::back_inserter(owners), [](OwnerId owner) { return owner != kNoOwner; });
  }
  return owners;
}

std::uint32_t SlabAllocator::class_of(std::uint64_t bytes) const {
  if (bytes > page_bytes_ / 2) return 0;
  return (static_cast<std::uint32_t>(bytes) + kSlotAlign - 1) / kSlotAlign;
}

SlabAllocator::SlabPage* SlabAllocator::slab_at(const Extents& extents) const {
  const std::uint64_t page = extents.front().offset / page_bytes_;
  CHECK(page < page_count_);
  return slabs_[page].get();
}

void SlabAllocator::list_partial(std::uint32_t page) {
  std::vector<std::uint32_t>& pages = partial_[slabs_[page]->slot_bytes / kSlotAlign];
  slabs_[page]->partial_index = static_cast<std::uint32_t>(pages.size());
  pages.push_back(page);
}

void SlabAllocator::unlist_partial(std::uint32_t page) {
  std::vector<std::uint32_t>& pages = partial_[slabs_[page]->slot_bytes / kSlotAlign];
  const std::uint32_t index = slabs_[page]->partial_index;
  CHECK(index < pages.size() && pages[index] == page);
  pages[index] = pages.back();
  slabs_[pages[index]]->partial_index = index;
  pages.pop_back();
}

}  // namespace mooncake::store
