#include "store/client/retry_log.h"

#include <gtest/gtest.h>

namespace mooncake::store {
namespace {

const Status kAway(Code::kUnavailable, "nobody listens");
const Status kOtherCluster(Code::kPermissionDenied, "another cluster id");

TEST(RetryLog, SaysAFailureOnceHoweverOftenItRepeats) {
  RetryLog log;
  EXPECT_TRUE(log.is_new(kAway));
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(log.is_new(kAway));
}

TEST(RetryLog, FailuresThatTakeTurnsAreSaidOnceEach) {
  RetryLog log;
  int lines = 0;
  for (int i = 0; i < 100; ++i) lines += log.is_new(i % 2 == 0 ? kAway : kOtherCluster) ? 1 : 0;
  EXPECT_EQ(lines, 2);
}

TEST(RetryLog, AFailureAfterASuccessIsNews) {
  RetryLog log;
  EXPECT_TRUE(log.is_new(kAway));
  log.on_success();
  EXPECT_TRUE(log.is_new(kAway));
}

}  // namespace
}  // namespace mooncake::store
