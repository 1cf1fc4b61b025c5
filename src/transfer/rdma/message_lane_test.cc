// A message lane between two ends in one process, each on a loop of its own: what is sent arrives whole and in order,
// and an end that stalls, breaks or lies holds the other up no longer than it may. Needs `make test-rdma`.
#include "transfer/rdma/message_lane.h"

#include <gtest/gtest.h>

#include <functional>
#include <future>

#include "transfer/connection.h"
#include "transfer/rdma/test_lane.h"
#include "transfer/rdma/test_rdma.h"

namespace mooncake::transfer {
namespace {

OutFrame call(std::uint64_t id, std::size_t bytes) {
  return OutFrame::make({.kind = FrameKind::kCall, .request_id = id}, {}, std::string(bytes, static_cast<char>(id)));
}

class Lanes : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_soft_roce()) GTEST_SKIP() << kNoRdma;
    near_ = std::make_unique<LaneSide>("rxe0");
    far_ = std::make_unique<LaneSide>("rxe0");
  }
  void TearDown() override {
    if (near_) near_->run([this] { opener_.reset(); });
    if (far_) far_->run([this] { server_.reset(); });
  }

  /// Both ends, connected. `opener_keys`: those of the opener's frames and the server's; if any.
  void connect(const std::optional<std::pair<FrameKey, FrameKey>>& opener_keys = {},
               const std::optional<std::pair<FrameKey, FrameKey>>& server_keys = {}) {
    RdmaEnd asked;
    RdmaEnd answer;
    near_->run([&] {
      opener_ = std::make_unique<MessageLane>(near_->host(), near_->loop(), near_ear_);
      asked = *opener_->open(near_->port());
    });
    far_->run([&] {
      server_ = std::make_unique<MessageLane>(far_->host(), far_->loop(), far_ear_);
      answer = *server_->serve(far_->port(), asked);
      if (server_keys.has_value()) server_->seal(server_keys->second, server_keys->first);
    });
    near_->run([&] {
      if (opener_keys.has_value()) opener_->seal(opener_keys->first, opener_keys->second);
      ASSERT_TRUE(opener_->connect(answer).ok());
      ASSERT_FALSE(opener_->ready()) << "before the other end is known to hear";
    });
    ++connected_;
    ASSERT_TRUE(eventually([&] { return near_ear_.ready == connected_ && far_ear_.ready == connected_; }));
  }

  int connected_ = 0;  // times
  std::unique_ptr<LaneSide> near_;
  std::unique_ptr<LaneSide> far_;
  LaneEar near_ear_;
  LaneEar far_ear_;
  std::unique_ptr<MessageLane> opener_;
  std::unique_ptr<MessageLane> server_;
};

TEST_F(Lanes, FramesOfEverySizeArriveWholeAndInOrderBothWaysAtOnce) {
  connect();
  const std::vector<std::size_t> sizes = {0,    1,      kLaneInlineBytes - 32, kLaneInlineBytes - 31, 4000, 4064,
                                          4065, 70'000, kMessageBytesMax};
  constexpr int kRounds = 3;
  std::size_t sum = 0;
  for (const std::size_t size : sizes) sum += kRounds * size;
  const auto send_all = [&](MessageLane& lane) {
    std::uint64_t id = 0;
    for (int round = 0; round < kRounds; ++round) {
      for (const std::size_t size : sizes) lane.send(call(++id, size));
    }
  };
  near_->run([&] { send_all(*opener_); });
  far_->run([&] { send_all(*server_); });
  const std::uint64_t count = kRounds * sizes.size();
  ASSERT_TRUE(eventually([&] { return near_ear_.frames == count && far_ear_.frames == count; }));
  for (LaneEar* ear : {&near_ear_, &far_ear_}) {
    EXPECT_TRUE(ear->right);
    EXPECT_EQ(ear->bytes, sum);
    for (std::uint64_t i = 0; i < count; ++i) ASSERT_EQ(ear->ids[i], i + 1);
    EXPECT_FALSE(ear->over.ready());
  }
  near_->run([&] { EXPECT_TRUE(opener_->idle()); });
  near_->run([&] { EXPECT_EQ(opener_->inline_max(), kLaneInlineBytes) << "soft-RoCE can do as many"; });
}

TEST_F(Lanes, EndThatReadsNothingHoldsUpTheOtherWhichGoesOnWhenItReads) {
  connect();
  std::promise<void> release;
  far_->loop().post([future = release.get_future().share()] { future.wait(); });
  constexpr std::uint64_t kFrames = 200;
  near_->run([&] {
    for (std::uint64_t i = 1; i <= kFrames; ++i) opener_->send(call(i, 8000));
  });
  // The pieces that it has buffers for arrive; the rest waits here, and breaks nothing.
  const std::uint64_t quiet = packets_sent(0);
  EXPECT_TRUE(eventually([&, last = quiet]() mutable {
    const std::uint64_t now = packets_sent(0);
    return std::exchange(last, now) == now;
  }));
  EXPECT_EQ(far_ear_.frames, 0u);
  EXPECT_FALSE(near_ear_.over.ready());
  near_->run([&] { EXPECT_FALSE(opener_->idle()); });
  release.set_value();
  EXPECT_TRUE(eventually([&] { return far_ear_.frames == kFrames; }));
  EXPECT_TRUE(far_ear_.right);
  EXPECT_FALSE(near_ear_.over.ready());
}

TEST_F(Lanes, EndThatVanishesIsNoticedByWhatIsSentToIt) {
  connect();
  far_->run([&] { server_->close(); });
  near_->run([&] { opener_->send(call(1, 10)); });
  EXPECT_EQ(near_ear_.over.get().code(), Code::kUnavailable);
  near_->run([&] {
    EXPECT_FALSE(opener_->ready());
    opener_->send(call(2, 10));  // comes to nothing
    opener_->close();
  });
  EXPECT_FALSE(far_ear_.over.ready()) << "who closes it knows";
}

TEST_F(Lanes, WhatIsNoFrameEndsIt) {
  connect();
  near_->run([&] {
    OutFrame frame = call(1, 10);
    frame.head[0] = std::byte{0};
    opener_->send(std::move(frame));
  });
  EXPECT_EQ(far_ear_.over.get().code(), Code::kCorrupt);
}

TEST_F(Lanes, BulkFrameEndsIt) {
  connect();
  near_->run([&] { opener_->send(OutFrame::make({.kind = FrameKind::kData, .request_id = 3}, {}, "bytes")); });
  EXPECT_EQ(far_ear_.over.get().code(), Code::kCorrupt);
}

FrameKey key(int value) {
  FrameKey key;
  key.fill(static_cast<std::byte>(value));
  return key;
}

TEST_F(Lanes, SealedFramesArriveAndThoseOfAnotherKeyEndIt) {
  connect(std::pair{key(1), key(2)}, std::pair{key(1), key(2)});
  near_->run([&] { opener_->send(call(1, 10'000)); });
  far_->run([&] { server_->send(call(2, 100)); });
  EXPECT_TRUE(eventually([&] { return far_ear_.frames == 1 && near_ear_.frames == 1; }));
  TearDown();
  connect(std::pair{key(3), key(2)}, std::pair{key(1), key(2)});
  near_->run([&] { opener_->send(call(1, 10)); });
  EXPECT_EQ(far_ear_.over.get().code(), Code::kPermissionDenied);
  EXPECT_EQ(far_ear_.frames, 1u);
}

/// A queue pair without manners.
class Raw final : public QueuePair::Sink {
 public:
  void on_completion(const ibv_wc& completion) override {
    if (completion.status != IBV_WC_SUCCESS) set_failed(completion.status);
    ++completions;
  }
  void on_fault(std::string_view /*what*/) override { set_failed(IBV_WC_FATAL_ERR); }

  std::atomic<std::uint64_t> completions{0};
  Later<ibv_wc_status> failed;
  std::function<void(ibv_wc_status)> set_failed = failed.setter();
};

class RudeLanes : public Lanes {
 protected:
  static constexpr std::uint32_t kRawReceives = 64;

  void SetUp() override {
    Lanes::SetUp();
    if (!near_) return;
    RdmaEnd asked;
    near_->run([&] {
      pair_ = *QueuePair::create(*near_->port().device, near_->port().state(), raw_);
      const auto access = IBV_ACCESS_LOCAL_WRITE;
      region_ = verbs().reg_mr(near_->port().device->domain(), memory_.data(), memory_.size(), access);
      for (std::uint32_t i = 0; i < kRawReceives; ++i) pair_->receive(i, ByteSpan(memory_).first(4096), *region_);
      asked = pair_->end();
    });
    RdmaEnd answer;
    far_->run([&] {
      server_ = std::make_unique<MessageLane>(far_->host(), far_->loop(), far_ear_);
      answer = *server_->serve(far_->port(), asked);
    });
    near_->run([&] { EXPECT_TRUE(pair_->connect(answer).ok()); });
  }
  void TearDown() override {
    if (near_) {
      near_->run([this] {
        pair_->close();
        if (region_ != nullptr) verbs().dereg_mr(region_);
        near_->host().retire(std::move(pair_));
      });
    }
    Lanes::TearDown();
  }
  const Verbs& verbs() { return near_->port().device->verbs(); }
  void send(std::size_t bytes, std::uint32_t report) {
    near_->run([&] { pair_->send(100, ByteSpan(memory_).first(bytes), *region_, report, true); });
  }

  std::vector<std::byte> memory_ = std::vector<std::byte>(4096);
  Raw raw_;
  std::unique_ptr<QueuePair> pair_;
  ibv_mr* region_ = nullptr;
};

TEST_F(RudeLanes, PeerThatReportsNothingGetsAsManyPiecesAsItHasBuffersForAndTheRestLater) {
  send(0, 0);
  ASSERT_TRUE(eventually([&] { return far_ear_.ready.load() == 1; }));
  far_->run([&] {
    for (int i = 0; i < 3; ++i) server_->send(call(1, kLanePieces * kLanePieceBytes / 2));
  });
  const std::uint64_t sent = 1;  // the completion of our own
  EXPECT_TRUE(eventually([&] { return raw_.completions == sent + kLanePieces; }));
  far_->run([&] { EXPECT_FALSE(server_->idle()); });
  send(0, 5);
  EXPECT_TRUE(eventually([&] { return raw_.completions == sent + 1 + kLanePieces + 5; }));
  EXPECT_FALSE(far_ear_.over.ready());
}

TEST_F(RudeLanes, PeerThatReportsWhatItWasNotSentEndsIt) {
  send(0, 1);
  EXPECT_EQ(far_ear_.over.get().code(), Code::kCorrupt);
}

TEST_F(RudeLanes, PeerThatSendsMoreThanItMayIsRefusedByTheDevice) {
  send(0, 0);
  ASSERT_TRUE(eventually([&] { return far_ear_.ready.load() == 1; }));
  std::promise<void> release;
  far_->loop().post([future = release.get_future().share()] { future.wait(); });
  for (std::uint32_t i = 0; i < kLanePieces + kLaneReserve + 1; ++i) send(1, 0);
  EXPECT_EQ(raw_.failed.get(), IBV_WC_RNR_RETRY_EXC_ERR);
  release.set_value();
}

}  // namespace
}  // namespace mooncake::transfer
