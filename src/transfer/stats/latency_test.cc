#include "transfer/stats/latency.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace mooncake::transfer {
namespace {

TEST(Latency, BoundsDoubleFromFourMicrosecondsToAMinute) {
  EXPECT_EQ(LatencyCounts::bound(0), Micros(4));
  EXPECT_EQ(LatencyCounts::bound(8), Micros(1024));
  EXPECT_GT(LatencyCounts::bound(kLatencyBounds - 1), Seconds(60));
}

TEST(Latency, BoundBelongsToTheBucketBelowIt) {
  for (std::size_t i = 0; i < kLatencyBounds; ++i) {
    EXPECT_EQ(LatencyHistogram::bucket(LatencyCounts::bound(i)), i);
    EXPECT_EQ(LatencyHistogram::bucket(LatencyCounts::bound(i) + Nanos(1)), i + 1);
  }
}

/// What bucket() finds, found slowly.
std::size_t slow_bucket(Nanos took) {
  for (std::size_t i = 0; i < kLatencyBounds; ++i) {
    if (took <= LatencyCounts::bound(i)) return i;
  }
  return kLatencyBounds;
}

TEST(Latency, BucketIsTheOneThatASearchFinds) {
  Rng rng(3);
  for (int i = 0; i < 100'000; ++i) {
    const Nanos took(static_cast<std::int64_t>(rng.next() >> (1 + rng.below(63))));
    EXPECT_EQ(LatencyHistogram::bucket(took), slow_bucket(took)) << took.count();
  }
  EXPECT_EQ(LatencyHistogram::bucket(Nanos(0)), 0u);
  EXPECT_EQ(LatencyHistogram::bucket(Nanos(-1)), 0u) << "a clock that went back";
}

TEST(Latency, SnapshotHoldsEveryObservationAndTheirSum) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.snapshot(), LatencyCounts{});
  histogram.observe(Micros(3));
  histogram.observe(Micros(5));
  histogram.observe(Seconds(1000));
  const LatencyCounts counts = histogram.snapshot();
  EXPECT_EQ(counts.count(), 3u);
  EXPECT_EQ(counts.counts[0], 1u);
  EXPECT_EQ(counts.counts[1], 1u);
  EXPECT_EQ(counts.counts[kLatencyBounds], 1u);
  EXPECT_EQ(counts.sum, Seconds(1000) + Micros(8));
}

}  // namespace
}  // namespace mooncake::transfer
