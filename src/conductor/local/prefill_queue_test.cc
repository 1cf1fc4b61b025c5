#include "conductor/local/prefill_queue.h"

#include <gtest/gtest.h>

namespace mooncake::conductor {
namespace {

constexpr RequestNumber kA{1}, kB{2}, kC{3};
constexpr Instant kStart{};

TEST(PrefillQueue, ComputesOnePromptAtATimeInOrder) {
  PrefillQueue queue;
  ASSERT_TRUE(queue.push(kA, Millis(10)).ok());
  ASSERT_TRUE(queue.push(kB, Millis(20)).ok());
  EXPECT_EQ(queue.start(kStart), kA);
  EXPECT_EQ(queue.start(kStart), std::nullopt) << "A runs";
  EXPECT_EQ(queue.next(), kB);
  EXPECT_TRUE(queue.remove(kA));
  EXPECT_EQ(queue.start(kStart), kB);
  EXPECT_EQ(queue.next(), std::nullopt);
}

TEST(PrefillQueue, OutstandingFallsWithTimeButNotBelowWhatWaits) {
  PrefillQueue queue;
  ASSERT_TRUE(queue.push(kA, Millis(10)).ok());
  ASSERT_TRUE(queue.push(kB, Millis(20)).ok());
  EXPECT_EQ(queue.outstanding(kStart), Millis(30));
  ASSERT_EQ(queue.start(kStart), kA);
  EXPECT_EQ(queue.outstanding(kStart + Millis(4)), Millis(26));
  EXPECT_EQ(queue.outstanding(kStart + Millis(50)), Millis(20)) << "A takes longer than predicted";
  EXPECT_TRUE(queue.remove(kB));
  EXPECT_EQ(queue.outstanding(kStart + Millis(50)), Millis(0));
}

TEST(PrefillQueue, CancelledPromptIsNeverStarted) {
  PrefillQueue queue;
  for (const RequestNumber request : {kA, kB, kC}) ASSERT_TRUE(queue.push(request, Millis(10)).ok());
  EXPECT_EQ(queue.push(kB, Millis(10)).code(), Code::kAlreadyExists);
  EXPECT_TRUE(queue.remove(kB));
  EXPECT_FALSE(queue.remove(kB));
  EXPECT_EQ(queue.start(kStart), kA);
  EXPECT_EQ(queue.push(kA, Millis(10)).code(), Code::kAlreadyExists) << "also while it runs";
  EXPECT_TRUE(queue.remove(kA));
  EXPECT_EQ(queue.start(kStart), kC);
  EXPECT_EQ(queue.queued(), 0u);
  EXPECT_EQ(queue.running(), 1u);
}

TEST(PrefillQueue, TenantsTakeTurnsAndTheTotalCounts) {
  PrefillQueue queue;
  const Tenant flood{.id = TenantId{1}}, other{.id = TenantId{2}};
  for (std::uint64_t i = 10; i < 20; ++i) ASSERT_TRUE(queue.push(RequestNumber{i}, Millis(100), flood).ok());
  ASSERT_EQ(queue.start(kStart), RequestNumber{10});
  ASSERT_TRUE(queue.push(kA, Millis(100), other).ok());
  EXPECT_EQ(queue.outstanding(kStart), Millis(1'100)) << "whoever's it is";
  EXPECT_TRUE(queue.remove(RequestNumber{10}));
  EXPECT_EQ(queue.next(), RequestNumber{11}) << "whose turn it was when the other came";
  EXPECT_EQ(queue.start(kStart), RequestNumber{11});
  EXPECT_TRUE(queue.remove(RequestNumber{11}));
  EXPECT_EQ(queue.start(kStart), kA);
}

TEST(PrefillQueue, ContradictsAGatewayThatExpectedMuchLess) {
  PrefillQueue queue;
  ASSERT_TRUE(queue.push(kA, Seconds(2)).ok());
  EXPECT_TRUE(queue.contradicts(Seconds(1), Seconds(1), kStart)) << "3 s instead of 1 s";
  EXPECT_FALSE(queue.contradicts(Millis(2600), Seconds(1), kStart)) << "within 20 %";
  EXPECT_FALSE(queue.contradicts(Seconds(9), Seconds(1), kStart)) << "better than expected";
  PrefillQueue idle;
  EXPECT_FALSE(idle.contradicts(Millis(10), Millis(90), kStart)) << "too little to matter";
}

TEST(PrefillQueue, PushesBackWhenFull) {
  PrefillQueue queue;
  for (std::uint64_t i = 0; i < kPrefillQueueMax; ++i) ASSERT_TRUE(queue.push(RequestNumber{i}, Millis(1)).ok());
  EXPECT_EQ(queue.push(RequestNumber{kPrefillQueueMax}, Millis(1)).code(), Code::kExhausted);
}

}  // namespace
}  // namespace mooncake::conductor
