#include "conductor/replication.h"

#include <gtest/gtest.h>

#include <set>

#include "conductor/testing.h"

namespace mooncake::conductor {
namespace {

using testing::make_keys;
using testing::PlainCosts;

constexpr std::uint32_t kBlockTokens = 10;  // a block takes 1 ms to send, and its sender then rests for 10

class ReplicationTest : public ::testing::Test {
 protected:
  void use(const std::vector<Key128>& keys, int times, std::size_t instances = 4) {
    for (int i = 0; i < times; ++i) replication_.used(keys, instances, now_);
  }
  std::vector<Action> tick(Nanos after = Seconds(1)) {
    now_ += after;
    std::vector<Action> actions;
    replication_.tick(
        {.index = index_, .cost = costs_, .bookings = bookings_, .nodes = nodes_, .block_tokens = kBlockTokens}, now_,
        actions);
    return actions;
  }
  /// As tick(), and what was decided has happened.
  std::vector<Action> tick_and_copy() {
    auto actions = tick();
    for (const Action& action : actions) index_.add(static_cast<std::uint32_t>(action.to), action.keys);
    return actions;
  }
  void hold(std::uint32_t node, const std::vector<Key128>& keys) { index_.add(node, keys); }

  kvcache::PrefixIndex index_;
  PlainCosts costs_;
  Bookings bookings_;
  std::vector<NodeId> nodes_{NodeId{0}, NodeId{1}, NodeId{2}, NodeId{3}};
  Replication replication_;
  Instant now_{};
};

TEST_F(ReplicationTest, APrefixThatEveryInstanceExpectsIsCopiedToWhoLacksIt) {
  const auto keys = make_keys(1, 8);
  hold(2, keys);
  use(keys, 7);
  EXPECT_TRUE(tick().empty()) << "seven uses are not two for each of four instances";
  use(keys, 1);
  std::set<NodeId> reached;
  for (int second = 0; second < 5; ++second) {
    for (const Action& action : tick_and_copy()) {
      EXPECT_EQ(action.kind, Action::Kind::kReplicate);
      EXPECT_EQ(action.keys, keys);
      EXPECT_EQ(action.first_block, 0u);
      EXPECT_TRUE(reached.insert(action.to).second) << "twice to one node";
    }
  }
  EXPECT_EQ(reached, (std::set{NodeId{0}, NodeId{1}, NodeId{3}}));
}

TEST_F(ReplicationTest, OnlyTheBlocksThatAreSharedAreCopied) {
  const auto shared = make_keys(1, 3);
  for (std::uint64_t question = 0; question < 8; ++question) {
    auto prompt = shared;
    const auto own = make_keys(100 + question, 5);
    prompt.insert(prompt.end(), own.begin(), own.end());
    hold(0, prompt);
    use(prompt, 1);
  }
  const auto actions = tick();
  ASSERT_EQ(actions.size(), 1u) << "one sender, one copy at a time";
  EXPECT_EQ(actions[0].keys, shared);
}

TEST_F(ReplicationTest, ANodeThatHoldsABeginningGetsTheRest) {
  const auto keys = make_keys(1, 8);
  hold(0, keys);
  hold(1, {keys.begin(), keys.begin() + 5});
  nodes_ = {NodeId{0}, NodeId{1}};
  use(keys, 8);
  const auto actions = tick();
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].first_block, 5u);
  EXPECT_EQ(actions[0].keys, std::vector<Key128>(keys.begin() + 5, keys.end()));
}

TEST_F(ReplicationTest, ASenderRestsUntilCopiesTookATenthOfItsTime) {
  const auto keys = make_keys(1, 30);  // 30 ms
  hold(0, keys);
  use(keys, 8);
  EXPECT_EQ(tick(Millis(1)).size(), 1u);
  EXPECT_TRUE(tick(Millis(299)).empty());
  EXPECT_EQ(tick(Millis(1)).size(), 1u);
}

TEST_F(ReplicationTest, WhatHasArrivedIsPassedOnByItsNewHolder) {
  const auto keys = make_keys(1, 30);
  hold(0, keys);
  use(keys, 8);
  ASSERT_EQ(tick(Millis(1)).size(), 1u);
  hold(1, keys);
  const auto next = tick(Millis(1));
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next[0].from, NodeId{1});
}

TEST_F(ReplicationTest, WhoSendsToAPromptSendsNoCopies) {
  const auto keys = make_keys(1, 8);
  hold(0, keys);
  use(keys, 8);
  bookings_.book({.request = RequestNumber{1}, .readings = {{NodeId{0}, Outlet::kLink, Millis(1500)}}}, now_);
  EXPECT_TRUE(tick(Seconds(1)).empty());
  EXPECT_EQ(tick(Seconds(1)).size(), 1u) << "the transfer is over";
}

TEST_F(ReplicationTest, FourHoldersAreEnough) {
  nodes_ = {NodeId{0}, NodeId{1}, NodeId{2}, NodeId{3}, NodeId{4}, NodeId{5}};
  const auto keys = make_keys(1, 4);
  hold(0, keys);
  use(keys, 12, 6);
  std::size_t copies = 0;
  for (int second = 0; second < 10; ++second) copies += tick_and_copy().size();
  EXPECT_EQ(copies, 3u);
}

TEST_F(ReplicationTest, CopiesOnTheirWayCountAsHolders) {
  nodes_ = {NodeId{0}, NodeId{1}, NodeId{2}, NodeId{3}, NodeId{4}, NodeId{5}};
  const auto keys = make_keys(1, 4);
  hold(0, keys);
  use(keys, 12, 6);
  std::size_t copies = 0;
  for (int second = 0; second < 10; ++second) copies += tick().size();
  EXPECT_EQ(copies, 3u) << "nobody has told of any of them yet";
}

TEST_F(ReplicationTest, ALongPrefixGoesInPieces) {
  const auto keys = make_keys(1, kCopyBlocksMax + 5);
  hold(0, keys);
  nodes_ = {NodeId{0}, NodeId{1}};
  use(keys, 8);
  const auto first = tick();
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].keys.size(), kCopyBlocksMax);
  const auto second = tick();
  ASSERT_EQ(second.size(), 1u) << "also if the first piece is not there yet";
  EXPECT_EQ(second[0].first_block, kCopyBlocksMax);
  EXPECT_EQ(second[0].keys.size(), 5u);
  EXPECT_TRUE(tick().empty());
}

TEST_F(ReplicationTest, UsesOfLongAgoDoNotCount) {
  const auto keys = make_keys(1, 4);
  hold(0, keys);
  use(keys, 7);
  now_ += kReplicationWindow;
  use(keys, 1);
  EXPECT_EQ(tick().size(), 1u) << "the window before this one counts";
  now_ += 2 * kReplicationWindow;
  use(keys, 7);
  EXPECT_TRUE(tick().empty());
}

TEST_F(ReplicationTest, WhatIsEvictedEverywhereIsForgotten) {
  const auto keys = make_keys(1, 4);
  hold(0, keys);
  use(keys, 8);
  index_.clear(0);
  EXPECT_TRUE(tick().empty());
  hold(0, keys);
  EXPECT_TRUE(tick().empty()) << "until it is found hot again";
  now_ += 2 * kReplicationWindow;
  use(keys, 8);
  EXPECT_EQ(tick().size(), 1u);
}

TEST_F(ReplicationTest, ALongerPrefixGoesOnFromWhatWasSentOfAShorterOne) {
  nodes_ = {NodeId{0}, NodeId{1}};
  const auto keys = make_keys(1, 8);
  hold(0, keys);
  use({keys.begin(), keys.begin() + 5}, 8);
  ASSERT_EQ(tick().size(), 1u);
  use(keys, 8);
  const auto actions = tick();
  ASSERT_EQ(actions.size(), 1u) << "the first copy is still on its way";
  EXPECT_EQ(actions[0].first_block, 5u);
  use({keys.begin(), keys.begin() + 3}, 8);
  EXPECT_TRUE(tick().empty()) << "a beginning of it needs nothing of its own";
}

TEST_F(ReplicationTest, ANodeReceivesOneCopyATick) {
  const auto one = make_keys(1, 4);
  const auto other = make_keys(2, 4);
  hold(0, one);
  hold(1, other);
  nodes_ = {NodeId{2}};
  use(one, 8);
  use(other, 8);
  const auto first = tick();
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].keys, one);
  const auto second = tick();
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].keys, other);
}

TEST_F(ReplicationTest, OfEqualHoldersTheLowestSends) {
  const auto keys = make_keys(1, 4);
  hold(3, keys);
  hold(1, keys);
  nodes_ = {NodeId{2}};
  use(keys, 8);
  const auto actions = tick();
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].from, NodeId{1});
}

TEST_F(ReplicationTest, SoManyPrefixesAreInWorkAndNoMore) {
  for (std::uint64_t chain = 0; chain <= kHotPrefixesMax; ++chain) {
    const auto keys = make_keys(chain, 1);
    hold(0, keys);
    use(keys, 8);
  }
  nodes_ = {NodeId{1}};
  std::size_t copies = 0;
  for (std::size_t i = 0; i < kHotPrefixesMax + 10; ++i) copies += tick(Millis(50)).size();
  EXPECT_EQ(copies, kHotPrefixesMax);
}

TEST_F(ReplicationTest, BeyondItsLimitNewcomersAreNotCounted) {
  for (std::uint64_t chain = 0; chain < 2 * kCountedBlocksMax / 100; ++chain) use(make_keys(chain, 100), 1);
  const auto late = make_keys(1'000'000, 4);
  hold(0, late);
  use(late, 100);
  EXPECT_TRUE(tick().empty());
  now_ += kReplicationWindow;
  use(late, 8);
  EXPECT_EQ(tick().size(), 1u) << "the next window has room";
}

}  // namespace
}  // namespace mooncake::conductor
