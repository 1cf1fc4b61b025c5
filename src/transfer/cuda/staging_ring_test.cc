// The staging ring alone: order, shares, and slots that end in every way.
#include "transfer/cuda/staging_ring.h"

#include <gtest/gtest.h>

#include <future>

#include "transfer/test_node.h"

namespace mooncake::transfer {
namespace {

constexpr PeerHandle kOne{1};
constexpr PeerHandle kOther{2};
constexpr std::size_t kShare = kSlots[0] / kSlotShare;

class StagingRingTest : public testing::Test {
 protected:
  StagingRingTest() : loop_(net::EventLoop::create("ring")), memory_(kStagingBytesAll) {
    ring_ = std::make_unique<StagingRing>(*loop_, memory_);
    loop_->start();
  }
  ~StagingRingTest() override {
    on_loop([this] {
      slots_.clear();
      ring_.reset();
    });
    loop_->stop();
    loop_->join();
  }
  /// Runs it on the loop, then what it has posted there.
  void on_loop(const std::function<void()>& task) {
    for (const std::function<void()>& each : {task, std::function<void()>([] {})}) {
      std::promise<void> done;
      loop_->post([&] {
        each();
        done.set_value();
      });
      done.get_future().wait();
    }
  }
  /// Takes slots until there are none. @return how many.
  std::size_t take_all(PeerHandle peer, SlotUse use = SlotUse::kAsking) {
    std::size_t count = 0;
    while (auto slot = ring_->try_take(use, peer)) {
      slots_.push_back(std::move(*slot));
      ++count;
    }
    return count;
  }
  StagingRing::Done note(int number) {
    return [this, number](Result<StagingSlot> slot) {
      served_.push_back(slot.ok() ? number : -number);
      if (slot.ok()) slots_.push_back(std::move(*slot));
    };
  }

  std::unique_ptr<net::EventLoop> loop_;
  std::vector<std::byte> memory_;
  std::unique_ptr<StagingRing> ring_;
  std::vector<StagingSlot> slots_;
  std::vector<int> served_;
};

TEST_F(StagingRingTest, OnePeerGetsItsShareAndNoMore) {
  on_loop([this] {
    EXPECT_EQ(take_all(kOne), kShare);
    EXPECT_EQ(take_all(kOther), kShare);
    EXPECT_EQ(take_all(PeerHandle{3}), 0u);
    EXPECT_TRUE(ring_->try_take(SlotUse::kLanding, kOne).has_value());  // another set
    slots_.pop_back();
    EXPECT_EQ(take_all(kOne), 0u);
    EXPECT_EQ(take_all(PeerHandle{3}), 1u);
  });
}

TEST_F(StagingRingTest, PeersThatStopInTheMiddleOfFramesLeaveSlotsToWhoHasAllBytes) {
  on_loop([this] {
    std::size_t taken = 0;
    for (std::uint64_t peer = 10; peer < 20; ++peer) taken += take_all(PeerHandle{peer}, SlotUse::kLanding);
    EXPECT_EQ(taken, kSlots[1] - kSlotsKept[1]);
    ring_->take(1, SlotUse::kLanding, kOne, {}, note(1));
    ring_->take(2, SlotUse::kLanding, kOther, {}, note(2));
  });
  on_loop([this] { EXPECT_EQ(served_, (std::vector<int>{1, 2})); });
}

TEST_F(StagingRingTest, SlotsDoNotOverlap) {
  on_loop([this] {
    take_all(kOne);
    take_all(kOther);
    std::set<std::byte*> places;
    for (const StagingSlot& slot : slots_) {
      const ByteSpan memory = slot.first(kStagingSlotBytes);
      EXPECT_EQ((memory.data() - memory_.data()) % static_cast<std::ptrdiff_t>(kStagingSlotBytes), 0);
      EXPECT_TRUE(places.insert(memory.data()).second);
    }
  });
}

TEST_F(StagingRingTest, WhoWaitsIsServedInOrderAndPassesThoseAtTheirShare) {
  on_loop([this] {
    take_all(kOne);
    take_all(kOther);
    ring_->take(1, SlotUse::kAsking, kOne, {}, note(1));
    ring_->take(2, SlotUse::kAsking, kOther, {}, note(2));
    ring_->take(3, SlotUse::kAsking, kOther, {}, note(3));
  });
  on_loop([this] { EXPECT_TRUE(served_.empty()); });
  on_loop([this] { slots_.pop_back(); });  // of kOther
  on_loop([this] {
    EXPECT_EQ(served_, std::vector<int>{2});
    EXPECT_FALSE(ring_->try_take(SlotUse::kAsking, PeerHandle{3}).has_value());  // nobody jumps the queue
    slots_.erase(slots_.begin());                                                // of kOne
  });
  on_loop([this] { EXPECT_EQ(served_, (std::vector<int>{2, 1})); });
}

TEST_F(StagingRingTest, CancelledAndRevokedWaitersGetNoSlot) {
  const SegmentHandle segment{4, 5};
  on_loop([&, this] {
    take_all(kOne);
    ring_->take(1, SlotUse::kAsking, kOne, segment, note(1));
    ring_->take(2, SlotUse::kAsking, kOne, {}, note(2));
    ring_->take(3, SlotUse::kAsking, kOne, segment, note(3));
    EXPECT_TRUE(ring_->cancel(2));
    EXPECT_FALSE(ring_->cancel(2));
    ring_->revoke(segment, {Code::kStale, "gone"});
    EXPECT_EQ(served_, (std::vector<int>{-1, -3}));
    slots_.clear();
  });
  on_loop([this] {
    EXPECT_EQ(served_.size(), 2u);
    EXPECT_EQ(take_all(kOne), kShare);
  });
}

TEST_F(StagingRingTest, SlotMayOutliveItsRing) {
  on_loop([this] {
    take_all(kOne);
    ring_.reset();
    slots_.clear();
  });
}

}  // namespace
}  // namespace mooncake::transfer
