#include "sim/report/summary.h"

#include <gtest/gtest.h>

#include <numeric>

namespace mooncake::sim {
namespace {

TEST(Summary, PercentilesAreNearestRank) {
  const std::vector<double> five = {15, 20, 35, 40, 50};
  EXPECT_EQ(nearest_rank(five, 5), 15);
  EXPECT_EQ(nearest_rank(five, 30), 20);
  EXPECT_EQ(nearest_rank(five, 40), 20);
  EXPECT_EQ(nearest_rank(five, 50), 35);
  EXPECT_EQ(nearest_rank(five, 100), 50);
}

TEST(Summary, OfTheNumbersToAHundredInAnyOrder) {
  std::vector<double> samples(100);
  std::iota(samples.rbegin(), samples.rend(), 1.0);
  const Summary summary = summarize(samples);
  EXPECT_DOUBLE_EQ(summary.mean, 50.5);
  EXPECT_EQ(summary.p25, 25);
  EXPECT_EQ(summary.p50, 50);
  EXPECT_EQ(summary.p75, 75);
  EXPECT_EQ(summary.p90, 90);
  EXPECT_EQ(summary.p99, 99);
  EXPECT_EQ(summary.max, 100);
}

TEST(Summary, OfNothingIsZeroAndOfOneIsThatOne) {
  EXPECT_EQ(summarize({}).mean, 0);
  EXPECT_EQ(summarize({7}).p25, 7);
  EXPECT_EQ(summarize({7}).p99, 7);
}

}  // namespace
}  // namespace mooncake::sim
