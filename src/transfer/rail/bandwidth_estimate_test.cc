#include "transfer/rail/bandwidth_estimate.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace mooncake::transfer {
namespace {

constexpr std::size_t kSlice = 1u << 20;
constexpr double kPrior = 1e9;

/// A rail that is kept busy: `depth` slices in flight, one done every slice / bandwidth.
class BusyRail {
 public:
  explicit BusyRail(int depth = 1) {
    for (int i = 0; i < depth; ++i) estimate.on_started(now);
  }

  void complete(Nanos after) {
    now += after;
    estimate.on_done(kSlice, now);
    estimate.on_started(now);
  }
  void run_at(double bytes_per_s, int slices) {
    for (int i = 0; i < slices; ++i) complete(from_ms(1e3 * kSlice / bytes_per_s));
  }
  [[nodiscard]] double bandwidth() const { return estimate.bytes_per_s(now); }

  BandwidthEstimate estimate{kPrior};
  Instant now{};
};

TEST(BandwidthEstimate, IsThePriorUntilTwoSamplesAgreeAgainstIt) {
  BusyRail rail;
  EXPECT_EQ(rail.bandwidth(), kPrior);
  rail.run_at(1e7, 1);
  EXPECT_EQ(rail.bandwidth(), kPrior);
  rail.run_at(1e7, 1);
  EXPECT_NEAR(rail.bandwidth(), 1e7, 1e4) << "a prior that is a hundred times too high is forgotten at once";
}

TEST(BandwidthEstimate, ConvergesFromAPriorThatIsTooLow) {
  BusyRail rail(8);
  rail.run_at(25e9, 1'000);
  EXPECT_NEAR(rail.bandwidth(), 25e9, 25e7);
}

TEST(BandwidthEstimate, MeasuresTheRailAndNotTheQueueOnIt) {
  BusyRail alone;
  BusyRail queued(32);
  alone.run_at(2e9, 200);
  queued.run_at(2e9, 200);
  EXPECT_NEAR(queued.bandwidth(), alone.bandwidth(), 1);
}

TEST(BandwidthEstimate, OneOutlierChangesNothing) {
  BusyRail rail;
  rail.run_at(1e9, 100);
  const double before = rail.bandwidth();
  rail.complete(Millis(200));
  EXPECT_NEAR(rail.bandwidth(), before, 0.001 * before);
  rail.run_at(1e9, 1);
  rail.complete(Nanos(1));
  rail.run_at(1e9, 10);
  EXPECT_NEAR(rail.bandwidth(), before, 0.01 * before);
}

TEST(BandwidthEstimate, FollowsARailThatBecomesSlower) {
  BusyRail rail;
  rail.run_at(1e9, 100);
  const Instant change = rail.now;
  while (rail.now < change + 2 * kSmoothing) rail.run_at(5e8, 1);
  EXPECT_LT(rail.bandwidth(), 5e8 * 4 / 3);
  rail.run_at(5e8, 1'000);
  EXPECT_NEAR(rail.bandwidth(), 5e8, 5e6);
}

TEST(BandwidthEstimate, SmoothsSamplesThatVary) {
  Rng rng(1);
  BusyRail rail;
  double lowest = 1e18;
  double highest = 0;
  for (int i = 0; i < 2'000; ++i) {
    rail.complete(from_ms(1 + rng.uniform()));  // 1 to 2 ms a MiB: single samples differ by a factor of 2
    if (i < 500) continue;
    lowest = std::min(lowest, rail.bandwidth());
    highest = std::max(highest, rail.bandwidth());
  }
  EXPECT_LT(highest / lowest, 1.35);
  EXPECT_NEAR((lowest + highest) / 2, kSlice / 1.5e-3, 0.1 * kSlice / 1.5e-3);
}

TEST(BandwidthEstimate, CompletionsInBunchesCountAsTheTimeTheyTookTogether) {
  BusyRail rail(4);
  for (int i = 0; i < 100; ++i) {
    rail.complete(Millis(4));
    for (int more = 0; more < 3; ++more) rail.complete(Nanos(0));
  }
  EXPECT_NEAR(rail.bandwidth(), kSlice / 1e-3, 1e6);
}

TEST(BandwidthEstimate, ShortSlicesOnAnIdleRailTellOfLatencyAndAreNotCounted) {
  BandwidthEstimate estimate(kPrior);
  Instant now{};
  for (int i = 0; i < 1'000; ++i) {
    estimate.on_started(now);
    now += Micros(50);
    estimate.on_done(4096, now);
  }
  EXPECT_EQ(estimate.bytes_per_s(now), kPrior);
}

TEST(BandwidthEstimate, IdleTimeIsNotSlowness) {
  BandwidthEstimate estimate(kPrior);
  Instant now{};
  for (int i = 0; i < 100; ++i) {
    now += Millis(50);
    estimate.on_started(now);
    now += Millis(2);
    estimate.on_done(2'000'000, now);
  }
  EXPECT_NEAR(estimate.bytes_per_s(now), 1e9, 1e6);
}

TEST(BandwidthEstimate, TimeThatEndsInAFailureIsNotCounted) {
  BusyRail rail;
  rail.run_at(1e9, 10);
  const double before = rail.bandwidth();
  rail.now += Seconds(3);
  rail.estimate.on_lost(rail.now);
  rail.estimate.on_started(rail.now);
  rail.run_at(1e9, 10);
  EXPECT_NEAR(rail.bandwidth(), before, 0.001 * before);
}

TEST(BandwidthEstimate, ASlowRailThatIsLeftAloneIsBelievedToRecover) {
  BandwidthEstimate estimate(kPrior);
  Instant now{};
  const auto move = [&](double bytes_per_s) {
    estimate.on_started(now);
    now += from_ms(1e3 * kSlice / bytes_per_s);
    estimate.on_done(kSlice, now);
  };
  for (int i = 0; i < 10; ++i) move(1e7);
  EXPECT_NEAR(estimate.bytes_per_s(now), 1e7, 1e5);
  EXPECT_NEAR(estimate.bytes_per_s(now + kForget), 2e7, 2e5);
  EXPECT_EQ(estimate.bytes_per_s(now + 10 * kForget), kPrior) << "and not beyond";

  now += 10 * kForget;
  move(1e7);
  EXPECT_EQ(estimate.bytes_per_s(now), kPrior) << "one slow slice may be an outlier";
  move(1e7);
  EXPECT_NEAR(estimate.bytes_per_s(now), 1e7, 1e5) << "two are not";
}

TEST(BandwidthEstimate, ARailWhoseSlicesTakeLongerThanItIsRememberedIsMeasuredAllTheSame) {
  BusyRail rail;
  rail.run_at(5e4, 10);  // 21 s each
  EXPECT_NEAR(rail.bandwidth(), 5e4, 1e3);
}

}  // namespace
}  // namespace mooncake::transfer
