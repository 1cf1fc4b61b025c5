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

Nanos margin_after(const TtftMargin& margin, Nanos idle = Nanos{0}) {
  return margin.margin(kObjective, Instant{} + Millis(500) + idle);
}

TEST(TtftMargin, IsATenthOfTheObjectiveBeforeAnythingIsKnown) {
  EXPECT_EQ(TtftMargin().margin(kObjective, Instant{}), Millis(100));
  EXPECT_EQ(TtftMargin().margin(Millis(50), Instant{}), Millis(5));
}

TEST(TtftMargin, ConvergesToAConstantError) {
  TtftMargin margin;
  observe(margin, 200, Millis(60));
  EXPECT_NEAR(to_ms(margin_after(margin, Millis(60))), 60, 1);
}

TEST(TtftMargin, CoversErrorsThatScatter) {
  TtftMargin margin;
  for (int i = 0; i < 100; ++i) observe(margin, 1, Millis(i % 2 == 0 ? 20 : -20));
  EXPECT_GT(margin_after(margin), Millis(40)) << "twice the largest error: four deviations of about 20 ms";
  EXPECT_LT(margin_after(margin), Millis(120));
}

TEST(TtftMargin, VanishesWhenPredictionsAreTooHigh) {
  TtftMargin margin;
  observe(margin, 200, Millis(-300));
  EXPECT_LT(margin.margin(kObjective, Instant{} + Millis(200)), Millis(1));
}

TEST(TtftMargin, StaysBelowHalfTheObjectiveWhateverHappens) {
  TtftMargin margin;
  observe(margin, 50, Seconds(100));
  EXPECT_EQ(margin_after(margin, Seconds(100)), kObjective / 2);
}

TEST(TtftMargin, FadesIntoTheFirstGuessWithoutNews) {
  TtftMargin margin;
  observe(margin, 50, Seconds(100));
  EXPECT_NEAR(to_ms(margin_after(margin, Seconds(100) + kMarginHalfLife)), 300, 1) << "half of 500, half of 100 ms";
  EXPECT_NEAR(to_ms(margin_after(margin, Seconds(100) + 20 * kMarginHalfLife)), 100, 1);
}

TEST(TtftMargin, DroppedAndUnknownRequestsTeachNothing) {
  TtftMargin margin;
  margin.expect(RequestNumber{1}, Millis(1), Instant{});
  margin.drop(RequestNumber{1});
  margin.first_token(RequestNumber{1}, Instant{} + Seconds(50));
  margin.first_token(RequestNumber{2}, Instant{} + Seconds(50));
  EXPECT_EQ(margin.margin(kObjective, Instant{} + Seconds(50)), Millis(100));
}

}  // namespace
}  // namespace mooncake::conductor
