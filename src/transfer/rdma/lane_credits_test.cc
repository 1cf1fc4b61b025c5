#include "transfer/rdma/lane_credits.h"

#include <gtest/gtest.h>

#include <deque>

#include "base/rng.h"

namespace mooncake::transfer {
namespace {

TEST(LaneCredits, AreAsManyAsTheBuffersAndComeBackByReports) {
  LaneCredits credits;
  for (std::uint32_t i = 0; i < kLanePieces; ++i) {
    ASSERT_TRUE(credits.can_send());
    credits.on_sent();
  }
  EXPECT_FALSE(credits.can_send());
  ASSERT_TRUE(credits.on_report(1).ok());
  EXPECT_TRUE(credits.can_send());
  credits.on_sent();
  EXPECT_FALSE(credits.can_send());
  ASSERT_TRUE(credits.on_report(1).ok()) << "the same again";
  EXPECT_FALSE(credits.can_send());
  ASSERT_TRUE(credits.on_report(kLanePieces + 1).ok());
  for (std::uint32_t i = 0; i < kLanePieces; ++i) {
    ASSERT_TRUE(credits.can_send());
    credits.on_sent();
  }
  EXPECT_FALSE(credits.can_send());
}

TEST(LaneCredits, ReportOfWhatWasNotSentOrOfLessThanBeforeIsCorrupt) {
  LaneCredits credits;
  EXPECT_EQ(credits.on_report(1).code(), Code::kCorrupt);
  for (int i = 0; i < 3; ++i) credits.on_sent();
  ASSERT_TRUE(credits.on_report(2).ok());
  EXPECT_EQ(credits.on_report(1).code(), Code::kCorrupt);
  EXPECT_EQ(credits.on_report(4).code(), Code::kCorrupt);
  EXPECT_EQ(credits.on_report(2 + (1u << 31)).code(), Code::kCorrupt);
  EXPECT_TRUE(credits.on_report(3).ok());
  EXPECT_EQ(credits.on_report(3, true).code(), Code::kCorrupt) << "nothing new, and nothing else";
}

TEST(LaneCredits, ReportIsDueAfterHalfTheBuffersUnlessItWentAlong) {
  LaneCredits credits;
  for (std::uint32_t i = 0; i + 1 < kLanePieces / 2; ++i) credits.on_emptied();
  EXPECT_FALSE(credits.must_report());
  EXPECT_EQ(credits.report(), kLanePieces / 2 - 1);
  credits.on_emptied();
  EXPECT_FALSE(credits.must_report());
  for (std::uint32_t i = 0; i + 1 < kLanePieces / 2; ++i) credits.on_emptied();
  EXPECT_TRUE(credits.must_report());
  EXPECT_EQ(credits.report(), kLanePieces - 1);
  EXPECT_FALSE(credits.must_report());
}

/// One end of a lane whose pieces travel in order, and may stay on their way for long.
struct End {
  LaneCredits credits;
  std::uint32_t posted = kLanePieces + kLaneReserve;  // buffers that wait
  struct Piece {
    bool data = false;
    std::uint32_t report = 0;
  };
  std::deque<Piece> coming;
  std::uint64_t taken = 0;

  void send(End& to, bool data) {
    to.coming.push_back({data, credits.report()});
    ASSERT_GT(to.posted, 0u) << "the other end would not be ready to receive";
    --to.posted;
    if (data) credits.on_sent();
  }
  void take() {
    const Piece piece = coming.front();
    coming.pop_front();
    ASSERT_TRUE(credits.on_report(piece.report).ok());
    ++posted;
    if (!piece.data) return;
    credits.on_emptied();
    ++taken;
  }
};

TEST(LaneCredits, EveryPieceFindsABufferAndNeitherEndEverStandsStill) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Rng rng(seed);
    End a;
    End b;
    std::uint64_t to_send[2] = {5'000, seed % 3 == 0 ? 0u : 5'000u};
    std::uint64_t steps = 0;
    while (a.taken < (seed % 3 == 0 ? 0u : 5'000u) || b.taken < 5'000) {
      ASSERT_LT(++steps, 200'000u) << "they wait for one another; seed " << seed;
      const bool first = rng.below(2) == 0;
      End& me = first ? a : b;
      End& other = first ? b : a;
      std::uint64_t& left = to_send[first ? 0 : 1];
      switch (rng.below(3)) {
        case 0:
          if (!me.coming.empty()) me.take();
          break;
        case 1:
          while (left > 0 && me.credits.can_send()) {
            me.send(other, true);
            --left;
          }
          break;
        default:
          if (me.credits.must_report()) me.send(other, false);
      }
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace mooncake::transfer
