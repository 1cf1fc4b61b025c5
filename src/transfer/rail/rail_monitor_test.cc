#include "transfer/rail/rail_monitor.h"

#include <gtest/gtest.h>

namespace mooncake::transfer {
namespace {

constexpr RailId kRail{0};
constexpr Instant kStart{};

TEST(RailMonitor, HealthyRailTakesEverySlice) {
  RailMonitor monitor(2);
  for (int slice = 0; slice < 100; ++slice) EXPECT_TRUE(monitor.try_use(kRail, kStart));
  EXPECT_EQ(monitor.usable_count(kStart), 2u);
}

TEST(RailMonitor, CooldownDoublesToItsMaximum) {
  RailMonitor monitor(1);
  Instant now = kStart;
  Millis expected = kCooldownMin;
  for (int outage = 0; outage < 10; ++outage) {
    ASSERT_TRUE(monitor.try_use(kRail, now));
    monitor.on_failure(kRail, now);
    EXPECT_FALSE(monitor.try_use(kRail, now + expected - Millis{1})) << "outage " << outage;
    now += expected;
    expected = std::min(expected * 2, kCooldownMax);
  }
}

TEST(RailMonitor, OneOutageCountsOnceHoweverManySlicesItCaught) {
  RailMonitor monitor(1);
  for (int slice = 0; slice < 50; ++slice) monitor.on_failure(kRail, kStart);
  EXPECT_TRUE(monitor.try_use(kRail, kStart + kCooldownMin));
}

TEST(RailMonitor, LetsExactlyOneProbeThrough) {
  RailMonitor monitor(1);
  monitor.on_failure(kRail, kStart);
  const Instant probe = kStart + kCooldownMin;
  EXPECT_TRUE(monitor.try_use(kRail, probe));
  EXPECT_FALSE(monitor.try_use(kRail, probe));
  monitor.on_success(kRail);
  EXPECT_TRUE(monitor.try_use(kRail, probe));
  EXPECT_TRUE(monitor.try_use(kRail, probe));
}

TEST(RailMonitor, LostProbeDoesNotBlockTheRailForEver) {
  RailMonitor monitor(1);
  monitor.on_failure(kRail, kStart);
  const Instant probe = kStart + kCooldownMin;
  ASSERT_TRUE(monitor.try_use(kRail, probe));
  EXPECT_FALSE(monitor.try_use(kRail, probe + kProbeTimeout - Millis{1}));
  EXPECT_TRUE(monitor.try_use(kRail, probe + kProbeTimeout));
}

TEST(RailMonitor, AnAbandonedProbeMakesTheNextSliceTheProbe) {
  RailMonitor monitor(1);
  monitor.on_failure(kRail, kStart);
  const Instant probe = kStart + kCooldownMin;
  ASSERT_TRUE(monitor.try_use(kRail, probe));
  monitor.on_abandoned(kRail, probe);
  EXPECT_TRUE(monitor.can_use(kRail, probe)) << "asking claims nothing";
  EXPECT_TRUE(monitor.try_use(kRail, probe));
  EXPECT_FALSE(monitor.can_use(kRail, probe));
}

TEST(RailMonitor, AbandoningASliceDoesNotEndACooldown) {
  RailMonitor monitor(1);
  monitor.on_failure(kRail, kStart);
  monitor.on_abandoned(kRail, kStart);
  EXPECT_FALSE(monitor.try_use(kRail, kStart));
}

TEST(RailMonitor, SuccessForgetsOldOutages) {
  RailMonitor monitor(1);
  monitor.on_failure(kRail, kStart);
  monitor.on_success(kRail);
  monitor.on_failure(kRail, kStart);
  EXPECT_TRUE(monitor.try_use(kRail, kStart + kCooldownMin)) << "the second outage starts from the minimum again";
}

}  // namespace
}  // namespace mooncake::transfer
