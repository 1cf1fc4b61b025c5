#include "conductor/trunk_reservation.h"

#include <gtest/gtest.h>

namespace mooncake::conductor {
namespace {

constexpr Instant kStart{Seconds(100)};

TEST(TrunkReservation, WithoutHighNormalMayUseEverything) {
  TrunkReservation reservation;
  reservation.asked(Priority::kNormal, kStart);
  reservation.asked(Priority::kLow, kStart);
  EXPECT_EQ(reservation.allowance(Priority::kNormal, kStart).share, 1);
  EXPECT_TRUE(reservation.allowance(Priority::kNormal, kStart).keeps_margin);
  EXPECT_EQ(reservation.allowance(Priority::kLow, kStart).share, kLowShare);
}

TEST(TrunkReservation, RoomIsKeptForHighWhileItComes) {
  TrunkReservation reservation;
  reservation.asked(Priority::kHigh, kStart);
  EXPECT_EQ(reservation.allowance(Priority::kHigh, kStart).share, 1);
  EXPECT_FALSE(reservation.allowance(Priority::kHigh, kStart).keeps_margin);
  EXPECT_EQ(reservation.allowance(Priority::kNormal, kStart).share, kNormalShareBesideHigh);
  EXPECT_LT(reservation.allowance(Priority::kLow, kStart).share, kNormalShareBesideHigh);
  const Instant last = kStart + kHighExpected - Nanos{1};
  EXPECT_EQ(reservation.allowance(Priority::kNormal, last).share, kNormalShareBesideHigh);
  EXPECT_EQ(reservation.allowance(Priority::kNormal, kStart + kHighExpected).share, 1);
}

}  // namespace
}  // namespace mooncake::conductor
