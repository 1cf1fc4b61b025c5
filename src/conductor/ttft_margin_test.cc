#include "conductor/ttft_margin.h"

#include <gtest/gtest.h>

namespace mooncake::conductor {
namespace {

constexpr Nanos kObjective = Seconds(1);

/// `count` requests, each predicted at 500 ms and late by `late`.
void observe(TtftMargin& margin, int count, Nanos late) {
  for (int i = 0; i < count; ++i) {
    const RequestNumber request{static_cast<std::uint64_t>(i)};
    margin.expect(request, Millis(500), Instant{});
    margin.first_token(request, Instant{} + Millis(500) + late);
  }
}

TEST(TtftMargin, IsATenthOfTheObjectiveBeforeAnythingIsKnown) {
  EXPECT_EQ(TtftMargin(kObjective).margin(), Millis(100));
}

TEST(TtftMargin, ConvergesToAConstantError) {
  TtftMargin margin(kObjective);
  observe(margin, 200, Millis(60));
  EXPECT_NEAR(to_ms(margin.margin()), 60, 1);
}

TEST(TtftMargin, CoversErrorsThatScatter) {
  TtftMargin margin(kObjective);
  for (int i = 0; i < 100; ++i) observe(margin, 1, Millis(i % 2 == 0 ? 20 : -20));
  EXPECT_GT(margin.margin(), Millis(40)) << "twice the largest error: four deviations of about 20 ms";
  EXPECT_LT(margin.margin(), Millis(120));
}

TEST(TtftMargin, VanishesWhenPredictionsAreTooHigh) {
  TtftMargin margin(kObjective);
  observe(margin, 200, Millis(-300));
  EXPECT_EQ(margin.margin(), Nanos(0));
}

TEST(TtftMargin, StaysBelowHalfTheObjectiveWhateverHappens) {
  TtftMargin margin(kObjective);
  observe(margin, 50, Seconds(100));
  EXPECT_EQ(margin.margin(), kObjective / 2);
}

TEST(TtftMargin, DroppedAndUnknownRequestsTeachNothing) {
  TtftMargin margin(kObjective);
  margin.expect(RequestNumber{1}, Millis(1), Instant{});
  margin.drop(RequestNumber{1});
  margin.first_token(RequestNumber{1}, Instant{} + Seconds(50));
  margin.first_token(RequestNumber{2}, Instant{} + Seconds(50));
  EXPECT_EQ(margin.margin(), Millis(100));
}

}  // namespace
}  // namespace mooncake::conductor
