#include "store/core/slab_allocator.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"

namespace mooncake::store {
namespace {

constexpr std::uint32_t kPage = 1024;

TEST(SlabAllocator, ObjectsOfOneSizeShareAPage) {
  SlabAllocator slabs(4 * kPage, kPage);
  for (SlabAllocator::OwnerId owner = 0; owner < 8; ++owner) ASSERT_TRUE(slabs.allocate(128, owner));
  EXPECT_EQ(slabs.free_pages(), 3u);
  ASSERT_TRUE(slabs.allocate(120, 8)) << "120 rounds to the class of 128";
  EXPECT_EQ(slabs.free_pages(), 2u);
}

TEST(SlabAllocator, AnEmptiedPageServesAnotherClass) {
  SlabAllocator slabs(kPage, kPage);
  const auto small = slabs.allocate(64, 0);
  ASSERT_TRUE(small);
  EXPECT_FALSE(slabs.allocate(256, 1));
  slabs.free(*small);
  EXPECT_TRUE(slabs.allocate(256, 1));
}

TEST(SlabAllocator, FragmentsNeverRefuseWhatWouldFit) {
  SlabAllocator slabs(6 * kPage, kPage);
  std::vector<Extents> pages;
  for (SlabAllocator::OwnerId owner = 0; owner < 6; ++owner) pages.push_back(*slabs.allocate(kPage, owner));
  for (const int index : {0, 2, 4}) slabs.free(pages[index]);
  const auto large = slabs.allocate(2 * kPage + 10, 9);
  ASSERT_TRUE(large);
  EXPECT_EQ(large->size(), 3u);
  EXPECT_EQ(large->back().bytes, 10u) << "the last extent is shorter than its page";
  slabs.free(*large);
  EXPECT_EQ(slabs.free_pages(), 3u) << "a short last extent gives its whole page back";
}

TEST(SlabAllocator, LargerThanThePoolNeverFits) {
  SlabAllocator slabs(4 * kPage, kPage);
  EXPECT_FALSE(slabs.fits(4 * kPage + 1));
  EXPECT_FALSE(slabs.fits_without_unheld(4 * kPage + 1));
  EXPECT_FALSE(slabs.fits(std::uint64_t{1} << 62));
  EXPECT_TRUE(slabs.fits(4 * kPage));
}

TEST(SlabAllocator, HeldPagesDoNotCountAsRoom) {
  SlabAllocator slabs(4 * kPage, kPage);
  const auto held = slabs.allocate(3 * kPage, 0);
  const auto small = slabs.allocate(64, 1);
  slabs.hold(*held);
  EXPECT_TRUE(slabs.fits_without_unheld(kPage));
  EXPECT_FALSE(slabs.fits_without_unheld(2 * kPage));
  slabs.hold(*small);
  EXPECT_FALSE(slabs.fits_without_unheld(kPage));
  EXPECT_TRUE(slabs.fits_without_unheld(64)) << "its page has a free slot";
  slabs.release(*held);
  EXPECT_TRUE(slabs.fits_without_unheld(3 * kPage));
}

// The twin is a byte map of the pool: every byte belongs to at most one owner.
TEST(SlabAllocator, LiveExtentsNeverOverlapAndSumsAreKept) {
  constexpr std::uint32_t kPages = 48;
  constexpr std::uint64_t kSizes[] = {1, 64, 65, 128, 200, 400, 512, 513, 1024, 1500, 5000, 9000};
  Rng rng(3);
  SlabAllocator slabs(std::uint64_t{kPages} * kPage + 77, kPage);
  std::vector<SlabAllocator::OwnerId> bytes(std::size_t{kPages} * kPage, UINT32_MAX);
  std::vector<std::pair<SlabAllocator::OwnerId, Extents>> live;
  SlabAllocator::OwnerId next_owner = 0;
  for (int step = 0; step < 30'000; ++step) {
    if (rng.below(5) < 3) {
      const std::uint64_t size = kSizes[rng.below(std::size(kSizes))];
      const bool expected = slabs.fits(size);
      const auto extents = slabs.allocate(size, next_owner);
      ASSERT_EQ(extents.has_value(), expected);
      if (!extents) continue;
      std::uint64_t sum = 0;
      for (const Extent& extent : *extents) {
        ASSERT_LE(extent.offset + extent.bytes, bytes.size());
        ASSERT_EQ(extent.offset % kSlotAlign, 0u);
        for (std::uint64_t at = extent.offset; at < extent.offset + extent.bytes; ++at) {
          ASSERT_EQ(bytes[at], UINT32_MAX) << "step " << step;
          bytes[at] = next_owner;
        }
        sum += extent.bytes;
      }
      ASSERT_EQ(sum, size);
      live.emplace_back(next_owner++, *extents);
    } else if (!live.empty()) {
      const std::size_t pick = rng.below(live.size());
      for (const Extent& extent : live[pick].second) {
        std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(extent.offset), extent.bytes, UINT32_MAX);
      }
      slabs.free(live[pick].second);
      live[pick] = live.back();
      live.pop_back();
    }
    // A page without an owned byte is free, and only such a page is.
    std::uint32_t empty = 0;
    if (step % 100 == 0) {
      for (std::uint32_t page = 0; page < kPages; ++page) {
        const auto begin = bytes.begin() + page * kPage;
        empty += std::all_of(begin, begin + kPage, [](auto owner) { return owner == UINT32_MAX; }) ? 1 : 0;
      }
      ASSERT_EQ(slabs.free_pages(), empty) << "step " << step;
    }
  }
}

}  // namespace
}  // namespace mooncake::store
