#include "sim/experiment/highest_speed.h"

#include <gtest/gtest.h>

namespace mooncake::sim {
namespace {

TEST(HighestSpeed, IsFoundToAHundredth) {
  for (const double limit : {0.06, 1.0, 2.5, 99.0}) {
    const auto found = highest_speed(0.05, 100, [=](double speed) -> Result<bool> { return speed <= limit; });
    ASSERT_TRUE(found.ok());
    EXPECT_LE(*found, limit);
    EXPECT_GE(*found, limit / 1.011);
  }
}

TEST(HighestSpeed, IsTheLowestIfNoneIsServed) {
  EXPECT_EQ(highest_speed(0.05, 100, [](double) -> Result<bool> { return false; }).value(), 0.05);
}

TEST(HighestSpeed, EndsWithTheFirstError) {
  int asked = 0;
  const auto found = highest_speed(1, 100, [&](double) -> Result<bool> {
    ++asked;
    return Status(Code::kInvalidArgument, "no");
  });
  EXPECT_EQ(found.status().code(), Code::kInvalidArgument);
  EXPECT_EQ(asked, 1);
}

}  // namespace
}  // namespace mooncake::sim
