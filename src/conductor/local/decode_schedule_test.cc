#include "conductor/local/decode_schedule.h"

#include <gtest/gtest.h>

namespace mooncake::conductor {
namespace {

constexpr RequestNumber kA{1}, kB{2}, kC{3};
constexpr DecodeLimits kLimits{.sequences_max = 1, .kv_tokens_max = 1000, .landings_max = 2, .landing_bytes_max = 100};

TEST(DecodeSchedule, RequestLandsThenJoins) {
  DecodeSchedule schedule(kLimits);
  ASSERT_TRUE(schedule.reserve(kA, 60, 500).ok());
  EXPECT_EQ(schedule.next_to_join(), std::nullopt);
  EXPECT_EQ(schedule.next_to_land(), kA);
  ASSERT_TRUE(schedule.landed(kA).ok());
  EXPECT_EQ(schedule.queued(), 1u);
  EXPECT_EQ(schedule.next_to_join(), kA);
  EXPECT_TRUE(schedule.finish_landing(kA));
  EXPECT_EQ(schedule.landing_bytes_used(), 0u);
  EXPECT_EQ(schedule.running(), 1u);
  EXPECT_EQ(schedule.kv_tokens_used(), 500u);
  EXPECT_TRUE(schedule.release(kA));
  EXPECT_EQ(schedule.kv_tokens_used(), 0u);
  EXPECT_FALSE(schedule.release(kA));
}

TEST(DecodeSchedule, NextRequestLandsWhileAnotherDecodes) {
  DecodeSchedule schedule(kLimits);
  for (const RequestNumber request : {kA, kB, kC}) ASSERT_TRUE(schedule.reserve(request, 40, 900).ok());
  EXPECT_EQ(schedule.next_to_land(), kA);
  EXPECT_EQ(schedule.next_to_land(), kB);
  EXPECT_EQ(schedule.next_to_land(), std::nullopt) << "two landings at most";
  ASSERT_TRUE(schedule.landed(kB).ok());
  ASSERT_TRUE(schedule.landed(kA).ok());
  EXPECT_EQ(schedule.next_to_join(), kB) << "in the order of arrival";
  EXPECT_EQ(schedule.next_to_join(), std::nullopt) << "one sequence";
  EXPECT_TRUE(schedule.finish_landing(kB));
  EXPECT_EQ(schedule.next_to_land(), kC);
  EXPECT_TRUE(schedule.release(kB));
  EXPECT_EQ(schedule.next_to_join(), kA);
}

TEST(DecodeSchedule, RefusesWhatCanNeverFit) {
  DecodeSchedule schedule(kLimits);
  EXPECT_EQ(schedule.reserve(kA, 10, 1001).code(), Code::kOutOfRange);
  EXPECT_EQ(schedule.reserve(kA, 101, 10).code(), Code::kOutOfRange);
  EXPECT_TRUE(schedule.reserve(kA, 100, 1000).ok());
  EXPECT_EQ(schedule.reserve(kA, 1, 1).code(), Code::kAlreadyExists);
}

TEST(DecodeSchedule, ReleasedRequestCannotJoin) {
  DecodeSchedule schedule(kLimits);
  ASSERT_TRUE(schedule.reserve(kA, 60, 500).ok());
  EXPECT_EQ(schedule.landed(kA).code(), Code::kNotFound) << "not granted yet";
  EXPECT_EQ(schedule.next_to_land(), kA);
  EXPECT_TRUE(schedule.release(kA));
  EXPECT_EQ(schedule.landed(kA).code(), Code::kNotFound);
  EXPECT_EQ(schedule.landing_bytes_used(), 0u);
  ASSERT_TRUE(schedule.reserve(kB, 100, 500).ok());
  EXPECT_EQ(schedule.next_to_land(), kB);
}

}  // namespace
}  // namespace mooncake::conductor
