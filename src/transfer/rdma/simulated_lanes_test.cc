// An engine against a peer that says what it likes about message lanes, on the double of libibverbs (tests/rdma/): no
// message is lost to a path that leads nowhere, and what cannot be is a reason to part.
#include <gmock/gmock.h>

#include "transfer/fake_peer.h"
#include "transfer/rdma/rdma_frame.h"
#include "transfer/rdma/test_lane.h"
#include "transfer/rdma/test_verbs.h"
#include "transfer/remote_peer.h"
#include "transfer/tcp/redial_table.h"

namespace mooncake::transfer {
namespace {

constexpr std::uint16_t kEcho = 900;

/// The peer's end of a lane that does not exist.
RdmaEnd nowhere(RdmaAddress port) {
  return {.address = port, .queue_pair = 0xabcdef, .packet_sequence = 1, .reads_at_once = 1};
}

class SimulatedLanes : public testing::Test {
 protected:
  void SetUp() override {
    if (!SimulatedVerbs::here()) GTEST_SKIP() << "no double of libibverbs: ctest's transfer_cuda has it";
    side_ = std::make_unique<LaneSide>(kSimulatedDevice);
    node_ = std::make_unique<TestNode>(TransferConfig{
        .node_name = "node", .connections_per_peer = 1, .enable_shm = false, .rdma_devices = kSimulatedDevice});
    node().serve_echo(kEcho);
    port_ = side_->host().addresses().at(0);
  }
  void TearDown() override {
    if (!side_) return;
    node_->destroy_engine();
    side_->run([this] { lane_.reset(); });
    side_.reset();
    EXPECT_EQ(SimulatedVerbs::count("regions"), 0);
    EXPECT_EQ(SimulatedVerbs::count("pairs"), 0);
  }
  TestNode& node() { return *node_; }

  /// The peer comes, and knows of lanes. Of two the one with the larger epoch opens them.
  void meet(bool node_opens) {
    fake_.hello().features = kFeatureRdma | kFeatureMessageLanes;
    fake_.hello().epoch = node_opens ? 1 : ~std::uint64_t{0};
    fake_.dial(node()->name());
    fake_.greet();
    peer_ = *node()->connect(fake_.name());
  }
  void say(RdmaFrame frame, std::uint64_t id, const std::string& payload = {}, Code code = Code::kOk) {
    fake_.send({.kind = FrameKind::kRdma, .request_id = id, .argument = rdma_argument(frame, code)}, payload);
  }
  void say_ports() { say(RdmaFrame::kPorts, 0, encode_rdma_ports({port_})); }
  void say_open(std::uint64_t lane, const RdmaEnd& end) {
    say(RdmaFrame::kOpenLane, lane, encode_rdma_open({.opener = end, .port = 0}));
  }
  /// The engine's next frame that is wanted; others are dropped, and messages counted.
  FakePeer::Frame heard(const std::function<bool(const FrameHeader&)>& wanted) {
    for (;;) {
      FakePeer::Frame frame = fake_.receive();
      if (frame.end) ADD_FAILURE() << "the engine has closed";
      const FrameKind kind = frame.header.kind;
      if (kind == FrameKind::kCall || kind == FrameKind::kReply || kind == FrameKind::kRdma) ++messages_;
      if (frame.end || wanted(frame.header)) return frame;
    }
  }
  FakePeer::Frame heard(FrameKind kind) {
    return heard([kind](const FrameHeader& header) { return header.kind == kind; });
  }
  FakePeer::Frame heard(RdmaFrame frame) {
    return heard([frame](const FrameHeader& header) {
      return header.kind == FrameKind::kRdma && *decode_rdma_frame(header.argument) == frame;
    });
  }
  void expect_serving() {
    fake_.send({.kind = FrameKind::kCall, .request_id = ++calls_, .argument = kEcho}, "hello");
    EXPECT_EQ(heard(FrameKind::kReply).payload, "hello");
  }
  static std::string count(std::uint64_t value) {
    std::string bytes(8, '\0');
    store_le(reinterpret_cast<std::byte*>(bytes.data()), value);
    return bytes;
  }
  /// Opens a lane that leads to lane_, by which the node's messages go from then on.
  void open_lane(std::uint64_t id) {
    say_ports();
    RdmaEnd end;
    side_->run([&] {
      lane_ = std::make_unique<MessageLane>(side_->host(), side_->loop(), ear_);
      end = *lane_->open(side_->port());
    });
    say_open(id, end);
    const RdmaEnd theirs = *decode_rdma_end(as_bytes(heard(RdmaFrame::kLaneOpened).payload));
    side_->run([&] { EXPECT_TRUE(lane_->connect(theirs).ok()); });
    heard(RdmaFrame::kTurn);
    fake_.send({.kind = FrameKind::kAck}, count(messages_));
    EXPECT_TRUE(eventually([this] { return ear_.ready == 1; }));
  }

  RdmaAddress port_;
  std::unique_ptr<LaneSide> side_;
  std::unique_ptr<TestNode> node_;
  FakePeer fake_;
  PeerHandle peer_;
  LaneEar ear_;
  std::unique_ptr<MessageLane> lane_;
  std::uint64_t messages_ = 0;
  std::uint64_t calls_ = 0;
};

TEST_F(SimulatedLanes, AnswersAboutLanesThatAreNotThereArePassedOver) {
  meet(true);
  for (const std::uint64_t id : {std::uint64_t{0}, std::uint64_t{7}}) {
    say(RdmaFrame::kLaneOpened, id, encode_rdma_end(nowhere(port_)));
    say(RdmaFrame::kLaneRefused, id, "no", Code::kExhausted);
  }
  expect_serving();
  say_ports();
  const std::uint64_t lane = heard(RdmaFrame::kOpenLane).header.request_id;
  say(RdmaFrame::kLaneRefused, lane, "no", Code::kExhausted);
  say(RdmaFrame::kLaneOpened, lane, encode_rdma_end(nowhere(port_)));
  expect_serving();
}

TEST_F(SimulatedLanes, PathThatLeadsNowhereCarriesNoMessageAndIsTriedLessAndLess) {
  meet(true);
  say_ports();
  std::vector<Deadline> opened;
  for (int attempt = 0; attempt < 3; ++attempt) {
    const std::uint64_t lane = heard(RdmaFrame::kOpenLane).header.request_id;
    opened.push_back(std::chrono::steady_clock::now());
    say(RdmaFrame::kLaneOpened, lane, encode_rdma_end(nowhere(port_)));
    const FakePeer::Frame fence = heard([](const FrameHeader& header) {
      EXPECT_FALSE(header.kind == FrameKind::kRdma && *decode_rdma_frame(header.argument) == RdmaFrame::kTurn);
      return header.kind == FrameKind::kFence;
    });
    EXPECT_EQ(fence.header.request_id, lane);
    say_ports();  // as before: that is no reason to try again
    node()->call(peer_, kEcho, "by tcp", soon(), [](const Result<std::string>&) {});
    EXPECT_EQ(heard(FrameKind::kCall).payload, "by tcp");
    fake_.send({.kind = FrameKind::kFenced, .request_id = lane}, count(messages_));
  }
  EXPECT_GE(opened[1] - opened[0], kRedialMin);
  EXPECT_GE(opened[2] - opened[1], 2 * kRedialMin);
}

TEST_F(SimulatedLanes, MessagesGoByALaneThatHears) {
  meet(false);
  open_lane(5);
  node()->call(peer_, kEcho, "by rdma", soon(), [](const Result<std::string>&) {});
  EXPECT_TRUE(eventually([&] { return ear_.frames == 1; }));
  EXPECT_EQ(ear_.bytes, std::string("by rdma").size());
}

TEST_F(SimulatedLanes, NonsenseByALaneEndsThePeerWhileItIsCalled) {
  meet(false);
  open_lane(5);
  std::promise<void> arrived;
  node().loop().post([future = arrived.get_future().share()] { future.wait(); });
  // In every turn of the engine's loop there is a call from then on, also between the lane's end and the peer's.
  std::atomic<int> calls{0};
  std::atomic<int> answers{0};
  const std::function<void()> again = [&] {
    if (answers > 0) return;
    ++calls;
    node()->call(peer_, kEcho, "", soon(), [&](const Result<std::string>&) { ++answers; });
    node().loop().post(again);
  };
  node().loop().post(again);
  side_->run([&] {
    OutFrame frame = OutFrame::make({.kind = FrameKind::kCall, .request_id = 1}, {}, std::string("x"));
    frame.head[0] = std::byte{0};
    lane_->send(std::move(frame));
  });
  EXPECT_TRUE(eventually([&] {
    bool sent = false;
    side_->run([&] { sent = lane_->idle(); });
    return sent;
  }));
  arrived.set_value();
  EXPECT_TRUE(eventually([&] { return answers > 0 && answers == calls; }));
  EXPECT_EQ(fake_.receive_close().code(), Code::kCorrupt);
}

TEST_F(SimulatedLanes, PeerThatOpensOneAfterAnotherIsEndedBeforeItHasMany) {
  meet(false);
  say_ports();
  std::size_t opened = 0;
  std::string all;
  for (std::uint64_t id = 100; id < 1'000; ++id) {
    const OutFrame frame =
        OutFrame::make({.kind = FrameKind::kRdma, .request_id = id, .argument = rdma_argument(RdmaFrame::kOpenLane)},
                       {}, encode_rdma_open({.opener = nowhere(port_), .port = 0}));
    all.append(reinterpret_cast<const char*>(frame.head.data()), frame.head_bytes).append(frame.payload);
  }
  fake_.send_raw(all);  // in one turn of the engine's loop
  FakePeer::Frame frame = fake_.receive();
  for (; !frame.end && frame.header.kind != FrameKind::kClose; frame = fake_.receive()) {
    const bool rdma = frame.header.kind == FrameKind::kRdma;
    if (rdma && *decode_rdma_frame(frame.header.argument) == RdmaFrame::kLaneOpened) ++opened;
  }
  EXPECT_EQ(frame.header.argument, static_cast<std::uint32_t>(Code::kExhausted));
  EXPECT_LE(opened, kFencesMax + 2);
}

TEST_F(SimulatedLanes, LaneNamedLikeAConnectionEndsThePeer) {
  meet(false);
  say_ports();
  say_open(fake_.hello().connection, nowhere(port_));
  EXPECT_EQ(fake_.receive_close().code(), Code::kCorrupt);
}

TEST_F(SimulatedLanes, LaneThatIsFencedBeforeItIsOpenedIsNot) {
  meet(false);
  say_ports();
  fake_.send({.kind = FrameKind::kFence, .request_id = 5});
  heard(FrameKind::kFenced);
  say_open(5, nowhere(port_));
  say_open(6, nowhere(port_));
  EXPECT_EQ(heard(RdmaFrame::kLaneOpened).header.request_id, 6u);
  expect_serving();
}

TEST_F(SimulatedLanes, EmptyPiecesWithoutNewsEndThePeer) {
  meet(false);
  say_ports();
  std::unique_ptr<QueuePair> pair;
  struct Deaf final : QueuePair::Sink {
    void on_completion(const ibv_wc& /*completion*/) override {}
    void on_fault(std::string_view /*what*/) override {}
  } deaf;
  RdmaEnd end;
  side_->run([&] {
    pair = *QueuePair::create(*side_->port().device, side_->port().state(), deaf);
    for (std::uint32_t i = 0; i < kEndpointSlicesMax; ++i) pair->receive(i);
    end = pair->end();
  });
  say_open(5, end);
  const RdmaEnd theirs = *decode_rdma_end(as_bytes(heard(RdmaFrame::kLaneOpened).payload));
  side_->run([&] {
    EXPECT_TRUE(pair->connect(theirs).ok());
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(pair->send(1, 0));  // one to begin with, and one too many
  });
  EXPECT_EQ(fake_.receive_close().code(), Code::kCorrupt);
  side_->run([&] {
    pair->close();
    side_->host().retire(std::move(pair));
  });
}

}  // namespace
}  // namespace mooncake::transfer
