#include "conductor/work_line.h"

#include <gtest/gtest.h>

namespace mooncake::conductor {
namespace {

constexpr RequestNumber kA{1}, kB{2}, kC{3};

Instant at(int ms) { return Instant(Millis(ms)); }

TEST(WorkLine, HeadCountsDownAndTheOthersCountInFull) {
  WorkLine line;
  line.push(kA, Millis(100), at(0));
  line.push(kB, Millis(50), at(10));
  EXPECT_EQ(line.left(at(10)), Millis(140));
  EXPECT_EQ(line.left(at(100)), Millis(50));
  EXPECT_EQ(line.left(at(500)), Millis(50)) << "A takes longer than predicted; B has not begun";
  EXPECT_TRUE(line.remove(kA, at(500)));
  EXPECT_EQ(line.left(at(520)), Millis(30)) << "B began when A left";
  EXPECT_TRUE(line.remove(kB, at(560)));
  EXPECT_EQ(line.left(at(560)), Millis(0));
}

TEST(WorkLine, LeavingTheMiddleChangesOnlyTheSum) {
  WorkLine line;
  for (const RequestNumber request : {kA, kB, kC}) line.push(request, Millis(100), at(0));
  EXPECT_TRUE(line.remove(kB, at(40)));
  EXPECT_FALSE(line.remove(kB, at(40)));
  EXPECT_EQ(line.left(at(40)), Millis(160));
}

TEST(WorkLine, StartCorrectsWhenTheHeadBegan) {
  WorkLine line;
  line.push(kA, Millis(100), at(0));
  line.push(kB, Millis(100), at(0));
  line.start(kA, at(80));
  line.start(kB, at(80));  // not its turn
  EXPECT_EQ(line.left(at(80)), Millis(200));
  EXPECT_EQ(line.left(at(90)), Millis(190));
}

TEST(WorkLine, PartPushedUntilAnInstant) {
  WorkLine line;
  line.push(kA, Millis(100), at(0));
  line.push(kB, Millis(100), at(20));
  EXPECT_EQ(line.left_of_pushed_by(at(-1), at(30)), Millis(0));
  EXPECT_EQ(line.left_of_pushed_by(at(19), at(30)), Millis(70));
  EXPECT_EQ(line.left_of_pushed_by(at(20), at(30)), Millis(170));
  EXPECT_EQ(line.size_of_pushed_by(at(19)), 1u);
}

TEST(WorkLine, AnotherTenantsPieceWaitsForItsTurnOnly) {
  WorkLine line;
  const Tenant flood{.id = TenantId{1}}, other{.id = TenantId{2}};
  for (std::uint64_t i = 0; i < 50; ++i) line.push(RequestNumber{i}, Millis(100), at(0), flood);
  EXPECT_EQ(line.left_before(flood, Millis(100), at(40)), line.left(at(40))) << "its own come first";
  EXPECT_EQ(line.left_before(other, Millis(100), at(40)), Millis(60 + 100)) << "what is in work, and a turn";
  line.push(RequestNumber{90}, Millis(100), at(40), other);
  EXPECT_TRUE(line.remove(RequestNumber{0}, at(100)));
  EXPECT_EQ(line.left(at(100)), Millis(50 * 100));
  EXPECT_TRUE(line.remove(RequestNumber{1}, at(200)));
  EXPECT_TRUE(line.remove(RequestNumber{90}, at(290))) << "the third, and in work";
  EXPECT_EQ(line.left(at(300)), Millis(48 * 100 - 10)) << "the next began when it left";
}

TEST(WorkLine, ExpiredWorkLeavesByItsPrediction) {
  WorkLine line;
  line.push(kA, Millis(100), at(0));
  line.push(kB, Millis(100), at(0));
  line.expire(at(150));
  EXPECT_EQ(line.size(), 1u);
  EXPECT_EQ(line.left(at(150)), Millis(50)) << "B began when A was predicted to end";
  line.expire(at(200));
  EXPECT_EQ(line.size(), 0u);
}

}  // namespace
}  // namespace mooncake::conductor
