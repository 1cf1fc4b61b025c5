#include "cli/up/restart_policy.h"

#include <gtest/gtest.h>

namespace mooncake::cli {
namespace {

constexpr Instant kStart = Instant(Seconds(100));

TEST(RestartPolicy, FirstRestartIsAtOnce) {
  RestartPolicy policy;
  policy.on_start(kStart);
  EXPECT_EQ(policy.on_death(kStart + Millis(1)), Nanos{0});
}

TEST(RestartPolicy, PauseDoublesUpToTheLimitWhileTheProcessDiesYoung) {
  RestartPolicy policy;
  Instant now = kStart;
  Nanos expected{0};
  for (int i = 0; i < 20; ++i) {
    policy.on_start(now);
    now += Millis(5);
    const Nanos pause = policy.on_death(now);
    EXPECT_EQ(pause, expected) << "death " << i;
    now += pause;
    expected = i == 0 ? Nanos{kRestartPauseMin} : std::min<Nanos>(2 * expected, kRestartPauseMax);
  }
  EXPECT_EQ(expected, kRestartPauseMax);
}

TEST(RestartPolicy, LongLifeIsForgiven) {
  RestartPolicy policy;
  for (int i = 0; i < 5; ++i) {
    policy.on_start(kStart);
    (void)policy.on_death(kStart + Millis(1));
  }
  policy.on_start(kStart);
  EXPECT_EQ(policy.on_death(kStart + kLivedLongEnough), Nanos{0});
}

}  // namespace
}  // namespace mooncake::cli
