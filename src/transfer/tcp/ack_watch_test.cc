#include "transfer/tcp/ack_watch.h"

#include <gtest/gtest.h>

namespace mooncake::transfer {
namespace {

Instant at(int ms) { return Instant(Millis(ms)); }

TEST(AckWatch, SilenceBeginsWithWhatIsSentAndNotWithTheLastAcknowledgement) {
  AckWatch watch;
  EXPECT_EQ(watch.silence({.waiting = false, .acked = 10}, at(0)), Nanos(0));
  EXPECT_EQ(watch.silence({.waiting = true, .acked = 10}, at(60'000)), Nanos(0));
  EXPECT_EQ(watch.silence({.waiting = true, .acked = 10}, at(60'300)), Millis(300));
}

TEST(AckWatch, AnyProgressEndsIt) {
  AckWatch watch;
  watch.silence({.waiting = true, .acked = 10}, at(0));
  EXPECT_EQ(watch.silence({.waiting = true, .acked = 11}, at(500)), Nanos(0));
  EXPECT_EQ(watch.silence({.waiting = true, .acked = 11}, at(600)), Millis(100));
  EXPECT_EQ(watch.silence({.waiting = false, .acked = 12}, at(900)), Nanos(0));
}

}  // namespace
}  // namespace mooncake::transfer
