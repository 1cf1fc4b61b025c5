#include "base/rng.h"

#include <gtest/gtest.h>

#include <array>

namespace mooncake {
namespace {

TEST(Rng, MatchesTheReferenceSplitmix64) {
  // The first outputs for seed 1234567 of the reference implementation, https://prng.di.unimi.it/splitmix64.c
  Rng rng(1234567);
  EXPECT_EQ(rng.next(), 6457827717110365317ULL);
  EXPECT_EQ(rng.next(), 3203168211198807973ULL);
  EXPECT_EQ(rng.next(), 9817491932198370423ULL);
}

TEST(Rng, SameSeedSameNumbers) {
  Rng a(42);
  Rng b(42);
  Rng c(43);
  EXPECT_EQ(a.next(), b.next());
  EXPECT_NE(a.next(), c.next());
}

TEST(Rng, BelowStaysBelowAndReachesEverything) {
  Rng rng(7);
  std::array<int, 10> seen{};
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t value = rng.below(10);
    ASSERT_LT(value, 10u);
    ++seen[value];
  }
  // Expected 1,000 each, standard deviation 30: six of them is one in 5e8.
  for (const int count : seen) EXPECT_NEAR(count, 1000, 180);
  EXPECT_EQ(rng.below(1), 0u);
}

TEST(Rng, UniformIsInTheUnitIntervalAroundAHalf) {
  Rng rng(7);
  double sum = 0;
  for (int i = 0; i < 10'000; ++i) {
    const double value = rng.uniform();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
  }
  EXPECT_NEAR(sum / 10'000, 0.5, 0.02);
}

TEST(Rng, SeedsOfTheSystemDiffer) { EXPECT_NE(random_seed(), random_seed()); }

}  // namespace
}  // namespace mooncake
