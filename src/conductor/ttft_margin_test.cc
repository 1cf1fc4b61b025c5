#include "conductor/ttft_margin.h"

#include <gtest/gtest.h>

namespace mooncake::conductor {
namespace {

/// Errors are counted in shares of 500 ms.
constexpr TtftMargin::Promise kPromise{.predicted = Millis(400), .objective = Seconds(1)};

/// `count` requests, each late by `late`. @return when the last one's first token came.
Instant observe(TtftMargin& margin, int count, Nanos late) {
  const Instant first_token = Instant{} + kPromise.predicted + late;
  for (int i = 0; i < count; ++i) {
    const RequestNumber request{static_cast<std::uint64_t>(i)};
    margin.expect(request, kPromise, Instant{});
    margin.first_token(request, first_token);
  }
  return first_token;
}

TEST(TtftMargin, IsAFifthBeforeAnythingIsKnown) {
  EXPECT_EQ(TtftMargin().margin(kPromise, Instant{}), Millis(100));
  EXPECT_EQ(TtftMargin().margin({.predicted = Millis(900), .objective = Seconds(1)}, Instant{}), Millis(200));
}

TEST(TtftMargin, ConvergesToAConstantError) {
  TtftMargin margin;
  const Instant now = observe(margin, 200, Millis(60));
  EXPECT_NEAR(to_ms(margin.margin(kPromise, now)), 60, 1);
}

TEST(TtftMargin, ErrorsOfShortPromptsSayLittleAboutLongOnes) {
  TtftMargin margin;
  const TtftMargin::Promise tiny{.predicted = Millis(2), .objective = Seconds(1)};
  margin.expect(RequestNumber{1}, tiny, Instant{});
  margin.first_token(RequestNumber{1}, Instant{} + Millis(7));
  EXPECT_LT(margin.margin({.predicted = Millis(700), .objective = Seconds(1)}, Instant{} + Millis(7)), Millis(150))
      << "5 ms of 102 ms and three times that as deviation, not 250 %";
}

TEST(TtftMargin, CoversErrorsThatScatter) {
  TtftMargin margin;
  Instant now;
  for (int i = 0; i < 100; ++i) now = observe(margin, 1, Millis(i % 2 == 0 ? 20 : -20));
  EXPECT_GT(margin.margin(kPromise, now), Millis(40)) << "twice the largest error: four deviations of about 20 ms";
  EXPECT_LT(margin.margin(kPromise, now), Millis(120));
}

TEST(TtftMargin, VanishesWhenPredictionsAreTooHigh) {
  TtftMargin margin;
  const Instant now = observe(margin, 200, Millis(-300));
  EXPECT_EQ(margin.margin(kPromise, now), Nanos(0));
}

TEST(TtftMargin, StaysBelowHalfTheObjectiveWhateverHappens) {
  TtftMargin margin;
  const Instant now = observe(margin, 50, Seconds(100));
  EXPECT_EQ(margin.margin(kPromise, now), kPromise.objective / 2);
}

TEST(TtftMargin, FadesIntoTheFirstGuessWithoutNews) {
  TtftMargin margin;
  const Instant now = observe(margin, 200, Millis(300));
  EXPECT_NEAR(to_ms(margin.margin(kPromise, now + kMarginHalfLife)), 200, 1) << "half of 300, half of 100 ms";
  EXPECT_NEAR(to_ms(margin.margin(kPromise, now + 20 * kMarginHalfLife)), 100, 1);
}

TEST(TtftMargin, DroppedAndUnknownRequestsTeachNothing) {
  TtftMargin margin;
  margin.expect(RequestNumber{1}, kPromise, Instant{});
  margin.drop(RequestNumber{1});
  margin.first_token(RequestNumber{1}, Instant{} + Seconds(50));
  margin.first_token(RequestNumber{2}, Instant{} + Seconds(50));
  EXPECT_EQ(margin.margin(kPromise, Instant{} + Seconds(50)), Millis(100));
}

}  // namespace
}  // namespace mooncake::conductor
