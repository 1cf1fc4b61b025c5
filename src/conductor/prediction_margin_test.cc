#include "conductor/prediction_margin.h"

#include <gtest/gtest.h>

namespace mooncake::conductor {
namespace {

/// Errors are counted in shares of 500 ms.
constexpr PredictionMargin::Promise kPromise{.predicted = Millis(400), .objective = Seconds(1)};

/// `count` requests, each late by `late`. @return when the last one's first token came.
Instant observe(PredictionMargin& margin, int count, Nanos late) {
  const Instant first_token = Instant{} + kPromise.predicted + late;
  for (int i = 0; i < count; ++i) {
    const RequestNumber request{static_cast<std::uint64_t>(i)};
    margin.expect(request, kPromise, Instant{});
    margin.observe(request, kPromise.predicted + late, first_token);
  }
  return first_token;
}

TEST(PredictionMargin, IsAFifthBeforeAnythingIsKnown) {
  EXPECT_EQ(PredictionMargin(kTtftDeviations).margin(kPromise, Instant{}), Millis(100));
  EXPECT_EQ(PredictionMargin(kTtftDeviations).margin({.predicted = Millis(900), .objective = Seconds(1)}, Instant{}),
            Millis(200));
}

TEST(PredictionMargin, ConvergesToAConstantError) {
  PredictionMargin margin(kTtftDeviations);
  const Instant now = observe(margin, 200, Millis(60));
  EXPECT_NEAR(to_ms(margin.margin(kPromise, now)), 60, 1);
}

TEST(PredictionMargin, ErrorsOfShortPromptsSayLittleAboutLongOnes) {
  PredictionMargin margin(kTtftDeviations);
  const PredictionMargin::Promise tiny{.predicted = Millis(2), .objective = Seconds(1)};
  margin.expect(RequestNumber{1}, tiny, Instant{});
  margin.observe(RequestNumber{1}, Millis(7), Instant{} + Millis(7));
  EXPECT_LT(margin.margin({.predicted = Millis(700), .objective = Seconds(1)}, Instant{} + Millis(7)), Millis(150))
      << "5 ms of 102 ms and three times that as deviation, not 250 %";
}

TEST(PredictionMargin, CoversErrorsThatScatter) {
  PredictionMargin margin(kTtftDeviations);
  Instant now;
  for (int i = 0; i < 100; ++i) now = observe(margin, 1, Millis(i % 2 == 0 ? 20 : -20));
  EXPECT_GT(margin.margin(kPromise, now), Millis(40)) << "twice the largest error: four deviations of about 20 ms";
  EXPECT_LT(margin.margin(kPromise, now), Millis(120));
}

TEST(PredictionMargin, VanishesWhenPredictionsAreTooHigh) {
  PredictionMargin margin(kTtftDeviations);
  const Instant now = observe(margin, 200, Millis(-300));
  EXPECT_EQ(margin.margin(kPromise, now), Nanos(0));
}

TEST(PredictionMargin, StaysBelowHalfTheObjectiveWhateverHappens) {
  PredictionMargin margin(kTtftDeviations);
  const Instant now = observe(margin, 50, Seconds(100));
  EXPECT_EQ(margin.margin(kPromise, now), kPromise.objective / 2);
}

TEST(PredictionMargin, FadesIntoTheFirstGuessWithoutNews) {
  PredictionMargin margin(kTtftDeviations);
  const Instant now = observe(margin, 200, Millis(300));
  EXPECT_NEAR(to_ms(margin.margin(kPromise, now + kMarginHalfLife)), 200, 1) << "half of 300, half of 100 ms";
  EXPECT_NEAR(to_ms(margin.margin(kPromise, now + 20 * kMarginHalfLife)), 100, 1);
}

TEST(PredictionMargin, DroppedAndUnknownRequestsTeachNothing) {
  PredictionMargin margin(kTtftDeviations);
  margin.expect(RequestNumber{1}, kPromise, Instant{});
  margin.drop(RequestNumber{1});
  margin.observe(RequestNumber{1}, Seconds(50), Instant{} + Seconds(50));
  margin.observe(RequestNumber{2}, Seconds(50), Instant{} + Seconds(50));
  EXPECT_EQ(margin.margin(kPromise, Instant{} + Seconds(50)), Millis(100));
}

}  // namespace
}  // namespace mooncake::conductor
