#include "base/time.h"

#include <gtest/gtest.h>

namespace mooncake {
namespace {

TEST(Time, RemainingNeverFallsBelowZero) {
  const Instant now(Seconds(100));
  EXPECT_EQ(remaining_ms(now + Millis(1500), now), 1500);
  EXPECT_EQ(remaining_ms(now + Micros(999), now), 0) << "whole milliseconds, rounded down";
  EXPECT_EQ(remaining_ms(now, now), 0);
  EXPECT_EQ(remaining_ms(now - Seconds(5), now), 0);
}

TEST(Time, NeverIsFarAwayAndDoesNotOverflow) {
  EXPECT_GT(remaining_ms(kNever, Instant{}), std::int64_t{200} * 365 * 24 * 3600 * 1000);
}

TEST(Time, MillisecondsSurviveTheRoundTrip) {
  EXPECT_DOUBLE_EQ(to_ms(Micros(1500)), 1.5);
  EXPECT_EQ(from_ms(1.5), Micros(1500));
  EXPECT_EQ(from_ms(-0.0000019), Nanos(-1)) << "rounds towards zero";
}

TEST(ManualClock, MovesOnlyWhenTold) {
  ManualClock clock;
  EXPECT_EQ(clock.now(), Instant{});
  clock.advance(Millis(5));
  EXPECT_EQ(clock.now(), Instant(Millis(5)));
  EXPECT_EQ(clock.now(), Instant(Millis(5)));
}

TEST(SteadyClock, NeverGoesBack) {
  const SteadyClock clock;
  Instant last = clock.now();
  for (int i = 0; i < 1000; ++i) {
    const Instant now = clock.now();
    EXPECT_GE(now, last);
    last = now;
  }
}

}  // namespace
}  // namespace mooncake
