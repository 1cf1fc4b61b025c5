#include "conductor/admission.h"

#include <gtest/gtest.h>

namespace mooncake::conductor {
namespace {

constexpr Slo kSlo{.ttft = Seconds(1), .tbt = Millis(50)};

Candidate costs(int queue_ms, int transfer_ms, int prefill_ms) {
  return {.queue = Millis(queue_ms),
          .transfer = Millis(transfer_ms),
          .prefill = Millis(prefill_ms),
          .ttft = Millis(queue_ms + transfer_ms + prefill_ms)};
}

std::optional<Refusal> judge_one(AdmissionPolicy policy, const Candidate& prefill, DecodeChoice decode) {
  return judge(policy, kSlo, {.prefill = prefill, .decode = decode, .decode_drain = Seconds(3)});
}

TEST(Admission, EarlyAdmitsWhatMeetsBothObjectives) {
  const DecodeChoice fits{.fit = DecodeFit::kFits, .tbt = Millis(50)};
  EXPECT_FALSE(judge_one(AdmissionPolicy::kEarly, costs(500, 100, 400), fits));
}

TEST(Admission, EarlyRefusesALongQueueUntilItHasDrained) {
  const DecodeChoice fits{.fit = DecodeFit::kFits, .tbt = Millis(10)};
  const auto refusal = judge_one(AdmissionPolicy::kEarly, costs(2'500, 100, 400), fits);
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->kind, RefusalKind::kTtftObjective);
  EXPECT_EQ(refusal->retry_after, Millis(2'000)) << "3 s predicted, 1 s allowed";
  EXPECT_NE(refusal->reason.find("predicted TTFT 3.000 s"), std::string::npos) << refusal->reason;
  EXPECT_NE(refusal->reason.find("2.500 s of it in the queue"), std::string::npos) << refusal->reason;
}

TEST(Admission, EarlyKeepsTheMarginByWhichPredictionsFallShort) {
  const DecodeChoice fits{.fit = DecodeFit::kFits, .tbt = Millis(10)};
  const Candidate prefill = costs(500, 0, 400);
  EXPECT_FALSE(judge(AdmissionPolicy::kEarly, kSlo, {.prefill = prefill, .decode = fits, .ttft_margin = Millis(100)}));
  const auto refusal =
      judge(AdmissionPolicy::kEarly, kSlo, {.prefill = prefill, .decode = fits, .ttft_margin = Millis(101)});
  ASSERT_TRUE(refusal);
  EXPECT_NE(refusal->reason.find("with a margin of 0.101 s"), std::string::npos) << refusal->reason;
}

TEST(Admission, EarlySaysWhenThePromptAloneIsTooLong) {
  const DecodeChoice fits{.fit = DecodeFit::kFits, .tbt = Millis(10)};
  const auto refusal = judge_one(AdmissionPolicy::kEarly, costs(0, 0, 1'100), fits);
  ASSERT_TRUE(refusal);
  EXPECT_NE(refusal->reason.find("computing this prompt alone takes 1.100 s"), std::string::npos) << refusal->reason;
  EXPECT_GT(refusal->retry_after, Nanos(0));
}

TEST(Admission, EarlyRefusesWhenDecodeIsFullOrTooSlow) {
  const Candidate quick = costs(0, 0, 10);
  const auto full = judge_one(AdmissionPolicy::kEarly, quick, {.fit = DecodeFit::kFull, .tbt = Millis(10)});
  ASSERT_TRUE(full);
  EXPECT_EQ(full->kind, RefusalKind::kDecodeFull);
  EXPECT_EQ(full->retry_after, Seconds(3));
  const auto slow = judge_one(AdmissionPolicy::kEarly, quick, {.fit = DecodeFit::kBreaksTbt, .tbt = Millis(51)});
  ASSERT_TRUE(slow);
  EXPECT_EQ(slow->kind, RefusalKind::kTbtObjective);
  EXPECT_NE(slow->reason.find("time between tokens 0.051 s"), std::string::npos) << slow->reason;
}

TEST(Admission, BaselineLeavesDecodeForLater) {
  const DecodeChoice full{.fit = DecodeFit::kFull, .tbt = Seconds(9)};
  EXPECT_FALSE(judge_one(AdmissionPolicy::kBaseline, costs(0, 0, 10), full));
  EXPECT_TRUE(judge_one(AdmissionPolicy::kBaseline, costs(5'000, 0, 10), full)) << "the TTFT is judged at once";
  EXPECT_TRUE(judge_decode({.objective = kSlo.tbt, .decode = full, .drain = Seconds(3)}));
}

TEST(Admission, NoneRefusesOnlyWhatCanNeverBeServed) {
  EXPECT_FALSE(
      judge_one(AdmissionPolicy::kNone, costs(90'000, 0, 9'000), {.fit = DecodeFit::kFull, .tbt = Seconds(9)}));
  const auto never = judge_one(AdmissionPolicy::kNone, costs(0, 0, 1), {.fit = DecodeFit::kNever});
  ASSERT_TRUE(never);
  EXPECT_EQ(never->kind, RefusalKind::kNeverFits);
  EXPECT_EQ(never->retry_after, Nanos(0)) << "trying again cannot help";
}

}  // namespace
}  // namespace mooncake::conductor
