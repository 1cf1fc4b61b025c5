#include "conductor/decode_outlook.h"

#include <gtest/gtest.h>

namespace mooncake::conductor {
namespace {

Instant at(int ms) { return Instant(Millis(ms)); }

/// 1 has run since 0 s, 2 since 2 s; 3 is expected at 4 s, 4 at 8 s. Each holds 10^number tokens.
DecodeLine line_of_four() {
  DecodeLine line;
  line.push({.request = RequestNumber{1}, .kv_tokens = 10, .prompt_tokens = 10});
  line.push({.request = RequestNumber{2}, .kv_tokens = 100, .prompt_tokens = 100});
  line.push({.request = RequestNumber{3}, .kv_tokens = 1000, .prompt_tokens = 1000, .expected_join = at(4'000)});
  line.push({.request = RequestNumber{4}, .kv_tokens = 10'000, .prompt_tokens = 10'000, .expected_join = at(8'000)});
  line.join(RequestNumber{1}, at(0));
  line.join(RequestNumber{2}, at(2'000));
  return line;
}

std::uint64_t tokens(AdmissionPolicy policy, int now_ms, int then_ms, const DecodeDurations& durations = {}) {
  // Both TTFTs are the same here; which of them counts is another test's claim.
  const OutlookQuestion question{.now = at(now_ms),
                                 .ttft = Millis(then_ms - now_ms),
                                 .average_ttft = Millis(then_ms - now_ms),
                                 .decode_time = Millis(5'000)};
  const DecodeLoad load = expected_load(policy, line_of_four(), question, durations);
  EXPECT_EQ(load.kv_tokens, load.prompt_tokens);
  return load.kv_tokens;
}

/// Requests that decoded for so long.
DecodeDurations learnt(std::initializer_list<int> durations_ms) {
  DecodeDurations durations;
  std::uint64_t number = 0;
  for (const int ms : durations_ms) {
    durations.join(RequestNumber{number}, at(0));
    durations.end(RequestNumber{number++}, at(ms));
  }
  return durations;
}

TEST(DecodeOutlook, NobodyLooksAheadWithoutAdmission) {
  EXPECT_EQ(tokens(AdmissionPolicy::kNone, 3'000, 6'000), 11'110u);
  EXPECT_EQ(tokens(AdmissionPolicy::kBaseline, 3'000, 6'000), 11'110u);
}

TEST(DecodeOutlook, EarlySeesWhoRunsNow) { EXPECT_EQ(tokens(AdmissionPolicy::kEarly, 3'000, 9'000), 110u); }

TEST(DecodeOutlook, PredictiveAddsWhoJoinsAndDropsWhoIsDone) {
  EXPECT_EQ(tokens(AdmissionPolicy::kPredictive, 3'000, 3'500), 110u);
  EXPECT_EQ(tokens(AdmissionPolicy::kPredictive, 3'000, 4'500), 1'110u) << "3 has joined";
  EXPECT_EQ(tokens(AdmissionPolicy::kPredictive, 3'000, 6'000), 1'100u) << "1 has decoded for 5 s";
  EXPECT_EQ(tokens(AdmissionPolicy::kPredictive, 3'000, 8'500), 11'000u) << "2 as well, and 4 is there";
  EXPECT_EQ(tokens(AdmissionPolicy::kPredictive, 5'000, 5'000), 1'100u) << "3 is late, and may come at any moment";
}

TEST(DecodeOutlook, SurvivalCountsEachWithTheProbabilityThatItIsThere) {
  EXPECT_EQ(tokens(AdmissionPolicy::kSurvival, 3'000, 8'500), 11'110u) << "nothing has ended yet: all stay";
  // A third ends within 1 s, two thirds within 10 s, and one goes on.
  const DecodeDurations durations = learnt({1'000, 10'000, 100'000});
  EXPECT_DOUBLE_EQ(durations.survival(Millis(500)), 1);
  EXPECT_DOUBLE_EQ(durations.survival(Millis(5'000)), 3.0 / 4);
  EXPECT_DOUBLE_EQ(durations.survival(Millis(50'000)), 2.0 / 4);
  EXPECT_DOUBLE_EQ(durations.survival(Seconds(1'000)), 1.0 / 4);
  // At 11.5 s: 1 is 3 s old and has to reach 11.5 s: (2/4) / (3/4). 2 is 1 s old and reaches 9.5 s: 1. 3 reaches 7.5 s
  // from its start: 3/4. 4 reaches 3.5 s: 3/4.
  EXPECT_EQ(tokens(AdmissionPolicy::kSurvival, 3'000, 11'500, durations), 7u + 100u + 750u + 7'500u);
}

TEST(DecodeOutlook, SurvivalLooksAsFarAheadForALongPromptAsForAnyOther) {
  const DecodeDurations durations = learnt({1'000, 2'000, 3'000});
  const auto ahead = [&](int ttft_ms) {
    return expected_load(AdmissionPolicy::kSurvival, line_of_four(),
                         {.now = at(3'000), .ttft = Millis(ttft_ms), .average_ttft = Millis(500)}, durations)
        .kv_tokens;
  };
  EXPECT_EQ(ahead(100), ahead(60'000));
}

TEST(DecodeOutlook, OldDurationsAreForgotten) {
  DecodeDurations durations;
  for (std::uint64_t i = 0; i < 3 * kDurationsMax; ++i) {
    durations.join(RequestNumber{i}, at(0));
    durations.end(RequestNumber{i}, at(i < 2 * kDurationsMax ? 10 : 1'000));
  }
  EXPECT_DOUBLE_EQ(durations.survival(Millis(500)), 1);
  EXPECT_LT(durations.survival(Millis(1'000)), 0.01);
}

}  // namespace
}  // namespace mooncake::conductor
