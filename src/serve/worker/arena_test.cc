#include "serve/worker/arena.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "serve/worker/manual_executor.h"

namespace mooncake::serve {
namespace {

constexpr std::uint64_t kUnits = 10;

class ArenaTest : public ::testing::Test {
 protected:
  // A lease that returns grants the next waiter, which must not add to `held_` while it is being destroyed.
  ~ArenaTest() override { arena_.reset(); }

  /// Asks for `units`; what comes is appended to `granted` or `refused`.
  Arena::Ticket ask(std::uint64_t units, Deadline deadline = kNever) {
    return arena_->acquire(units * kArenaUnitBytes, deadline, [this, units](Result<Arena::LeasePointer> lease) {
      if (lease.ok()) {
        order_.push_back(units);
        held_.push_back(std::move(lease).value());
      } else {
        refused_.push_back(lease.status().code());
      }
    });
  }

  /// Drops all leases; what that grants is held again.
  void drop_all() { std::exchange(held_, {}).clear(); }

  std::vector<std::byte> memory_ = std::vector<std::byte>(kUnits * kArenaUnitBytes);
  ManualExecutor loop_;
  std::shared_ptr<Arena> arena_ = Arena::create(memory_, loop_);
  std::vector<std::uint64_t> order_;
  std::vector<Arena::LeasePointer> held_;
  std::vector<Code> refused_;
};

TEST_F(ArenaTest, GrantsAtOnceWhileThereIsRoom) {
  EXPECT_EQ(ask(4), 0u);
  EXPECT_EQ(ask(6), 0u);
  ASSERT_EQ(held_.size(), 2u);
  EXPECT_EQ(held_[0]->bytes().size(), 4 * kArenaUnitBytes);
  EXPECT_EQ(held_[1]->bytes().data(), memory_.data() + 4 * kArenaUnitBytes) << "leases do not overlap";
  EXPECT_EQ(arena_->bytes_used(), arena_->bytes_max());
}

TEST_F(ArenaTest, NobodyOvertakesALargeRequestThatWaits) {
  ask(8);
  EXPECT_NE(ask(9), 0u);
  EXPECT_NE(ask(1), 0u) << "2 are free, but the large one was first";
  EXPECT_EQ(arena_->try_acquire(1), nullptr);
  drop_all();
  EXPECT_EQ(order_, (std::vector<std::uint64_t>{8, 9, 1}));
}

TEST_F(ArenaTest, ALeaseReturnsWithItsLastUser) {
  ask(10);
  ask(10);
  const Arena::LeasePointer transfer = held_.front();
  drop_all();
  EXPECT_EQ(order_.size(), 1u) << "a transfer still uses the memory";
  EXPECT_EQ(arena_->waiting(), 1u);
}

TEST_F(ArenaTest, AWaiterGivesUpAtItsDeadlineAndTheNextOneMoves) {
  ask(8);
  ask(5, loop_.clock().now() + Seconds(1));
  ask(2);
  loop_.advance(Seconds(1));
  EXPECT_EQ(refused_, std::vector<Code>{Code::kDeadlineExceeded});
  EXPECT_EQ(order_, (std::vector<std::uint64_t>{8, 2}));
}

TEST_F(ArenaTest, ACancelledWaiterIsForgottenAndLetsTheNextOneThrough) {
  ask(8);
  const Arena::Ticket ticket = ask(5, loop_.clock().now() + Seconds(1));
  ask(2);
  arena_->cancel(ticket);
  EXPECT_EQ(order_, (std::vector<std::uint64_t>{8, 2}));
  EXPECT_EQ(loop_.timers(), 0u);
  EXPECT_TRUE(refused_.empty());
}

TEST_F(ArenaTest, RefusesWhatCanNeverFit) {
  EXPECT_EQ(ask(kUnits + 1), 0u);
  EXPECT_EQ(refused_, std::vector<Code>{Code::kOutOfRange});
}

TEST_F(ArenaTest, RefusesBeyondItsWaitingLimit) {
  ask(kUnits);
  for (std::size_t i = 0; i < kArenaWaitersMax; ++i) ask(1);
  EXPECT_TRUE(refused_.empty());
  ask(1);
  EXPECT_EQ(refused_, std::vector<Code>{Code::kExhausted});
}

TEST_F(ArenaTest, LeasesMayOutliveIt) {
  ask(1);
  arena_.reset();
  drop_all();  // must not touch the arena
}

}  // namespace
}  // namespace mooncake::serve
