#include "serve/worker/range_allocator.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/rng.h"

namespace mooncake::serve {
namespace {

TEST(RangeAllocator, TakesTheFirstRangeThatIsLongEnough) {
  RangeAllocator space(10);
  EXPECT_EQ(space.allocate(4), 0u);
  EXPECT_EQ(space.allocate(4), 4u);
  EXPECT_EQ(space.allocate(4), std::nullopt);
  space.free(0, 4);
  EXPECT_EQ(space.allocate(5), std::nullopt) << "6 are free, but not together";
  EXPECT_EQ(space.allocate(2), 0u);
  EXPECT_EQ(space.used(), 6u);
}

TEST(RangeAllocator, FreeingTwiceIsCaught) {
  RangeAllocator space(10);
  ASSERT_EQ(space.allocate(4), 0u);
  ASSERT_EQ(space.allocate(4), 4u);
  space.free(0, 4);
  EXPECT_DEATH(space.free(0, 4), "check failed");
  EXPECT_DEATH(space.free(8, 4), "check failed");
}

// Against an obvious twin, a vector of flags, on random input.
TEST(RangeAllocator, NeverHandsOutATakenUnitAndComesBackWhole) {
  constexpr std::uint64_t kSize = 64;
  RangeAllocator space(kSize);
  std::vector<bool> taken(kSize);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> held;
  Rng rng(7);
  for (int i = 0; i < 20'000; ++i) {
    if (held.empty() || rng.below(2) == 0) {
      const std::uint64_t length = 1 + rng.below(12);
      const auto offset = space.allocate(length);
      if (!offset) continue;
      for (std::uint64_t unit = *offset; unit < *offset + length; ++unit) {
        ASSERT_FALSE(taken.at(unit));
        taken[unit] = true;
      }
      held.emplace_back(*offset, length);
    } else {
      const std::size_t victim = rng.below(held.size());
      const auto [offset, length] = held[victim];
      space.free(offset, length);
      for (std::uint64_t unit = offset; unit < offset + length; ++unit) taken[unit] = false;
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(victim));
    }
  }
  for (const auto& [offset, length] : held) space.free(offset, length);
  EXPECT_EQ(space.used(), 0u);
  EXPECT_EQ(space.allocate(kSize), 0u);
}

}  // namespace
}  // namespace mooncake::serve
