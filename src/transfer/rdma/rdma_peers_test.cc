// An engine against a peer that stalls and lies about RDMA: each slice ends once, its memory is let go of in time, and
// what cannot be is a reason to part. The peer has no queue pairs: what is sent to the ones that it names is lost.
#include <gmock/gmock.h>

#include "transfer/fake_peer.h"
#include "transfer/rdma/rdma_frame.h"
#include "transfer/rdma/test_rdma.h"
#include "transfer/test_node.h"

namespace mooncake::transfer {
namespace {

constexpr std::size_t kBytes = 64u << 10;
using Op = TransferRequest::Op;

/// The guest's rxe0.
RdmaAddress some_port() {
  RdmaAddress port{.mtu = 1, .up = true};
  const std::array<int, 6> mapped = {0xff, 0xff, 10, 9, 0, 1};
  for (std::size_t i = 0; i < mapped.size(); ++i) port.gid[10 + i] = static_cast<std::byte>(mapped[i]);
  return port;
}

TEST(RdmaPeers, RdmaFrameToAnEngineWithoutRdmaEndsThePeer) {
  TestNode node({.enable_shm = false});
  FakePeer fake;
  fake.dial(node->name());
  fake.greet();
  fake.send({.kind = FrameKind::kRdma, .argument = rdma_argument(RdmaFrame::kPorts)}, encode_rdma_ports({some_port()}));
  EXPECT_EQ(fake.receive_close().code(), Code::kCorrupt);
}

class RdmaPeersWithPorts : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_soft_roce()) GTEST_SKIP() << kNoRdma;
    node_ = std::make_unique<TestNode>(
        TransferConfig{.node_name = "node", .connections_per_peer = 1, .enable_shm = false, .rdma_devices = "rxe0"});
    segment_ = *node()->register_memory(memory_, Access::kReadWrite);
    fake_.hello().features = kFeatureRdma;
    fake_.dial(node()->name());
    fake_.greet();
    peer_ = *node()->connect(fake_.name());
  }
  TestNode& node() { return *node_; }

  void say(RdmaFrame frame, std::uint64_t id, const std::string& payload = {}, Code code = Code::kOk) {
    fake_.send({.kind = FrameKind::kRdma, .request_id = id, .argument = rdma_argument(frame, code)}, payload);
  }
  /// The engine's next frame of that kind; others are dropped.
  FakePeer::Frame heard(RdmaFrame kind) {
    for (;;) {
      FakePeer::Frame frame = fake_.receive(FrameKind::kRdma);
      if (frame.end) ADD_FAILURE() << "the engine has closed";
      if (frame.end || *decode_rdma_frame(frame.header.argument) == kind) return frame;
    }
  }
  void say_ports() { say(RdmaFrame::kPorts, 0, encode_rdma_ports({some_port()})); }
  Later<Status> submit(Op op, Deadline deadline = soon()) {
    const TransferRequest request{.op = op, .local = memory_, .segment = {0, 1}, .offset = 0};
    Later<Status> done;
    batch_ = node()->submit(peer_, std::span(&request, 1), deadline, std::nullopt, done.setter());
    return done;
  }
  /// Answers the engine's open with an end that leads nowhere.
  void say_opened(std::uint8_t mtu = 1) {
    const std::uint64_t endpoint = heard(RdmaFrame::kOpen).header.request_id;
    RdmaEnd end{.address = some_port(), .queue_pair = 0xabcdef, .packet_sequence = 1, .reads_at_once = 1};
    end.address.mtu = mtu;
    say(RdmaFrame::kOpened, endpoint, encode_rdma_end(end));
  }
  /// As far as the posted operation. @return the slice.
  std::uint64_t say_granted(RdmaFrame asked) {
    const std::uint64_t slice = heard(asked).header.request_id;
    say(RdmaFrame::kGranted, slice, encode_rdma_granted({.address = 4096, .key = 1, .ticket = 1}));
    return slice;
  }
  Later<bool> unregister() {
    Later<bool> gone;
    EXPECT_TRUE(node()->unregister_memory(segment_, [set = gone.setter()] { set(true); }).ok());
    return gone;
  }

  std::vector<std::byte> memory_ = noise(kBytes, 1);
  SegmentHandle segment_;
  FakePeer fake_;
  PeerHandle peer_;
  Batch batch_;
  std::unique_ptr<TestNode> node_;
};

TEST_F(RdmaPeersWithPorts, PeerThatOpensNothingHoldsNoMemory) {
  say_ports();
  Later<Status> done = submit(Op::kWrite, in(Seconds(1)));
  heard(RdmaFrame::kOpen);
  EXPECT_EQ(done.get().code(), Code::kDeadlineExceeded);
  EXPECT_TRUE(unregister().get());
}

TEST_F(RdmaPeersWithPorts, PeerThatGrantsNothingHoldsNoMemoryAndGetsALateGrantBack) {
  say_ports();
  Later<Status> done = submit(Op::kRead, in(Seconds(1)));
  say_opened();
  const std::uint64_t slice = heard(RdmaFrame::kGrantRead).header.request_id;
  EXPECT_EQ(done.get().code(), Code::kDeadlineExceeded);
  EXPECT_TRUE(unregister().get());
  say(RdmaFrame::kGranted, slice, encode_rdma_granted({.address = 4096, .key = 1, .ticket = 1}));
  heard(RdmaFrame::kClose);  // the ticket could not be delivered: that failed, and nothing else
}

TEST_F(RdmaPeersWithPorts, RefusedEndpointLeavesTheSliceToTcp) {
  say_ports();
  Later<Status> done = submit(Op::kWrite);
  const std::uint64_t endpoint = heard(RdmaFrame::kOpen).header.request_id;
  say(RdmaFrame::kBroken, endpoint, "enough", Code::kExhausted);
  const FakePeer::Frame write = fake_.receive(FrameKind::kWrite);
  EXPECT_EQ(write.payload.size(), kRangeBytes + kBytes);
  fake_.send({.kind = FrameKind::kDone, .request_id = write.header.request_id});
  EXPECT_TRUE(done.get().ok());
}

TEST_F(RdmaPeersWithPorts, SliceWhosePathIsDeadWaitsForTheOwnersWordAndGoesOverTcp) {
  say_ports();
  Later<Status> done = submit(Op::kWrite);
  say_opened();
  const std::uint64_t slice = say_granted(RdmaFrame::kGrantWrite);
  heard(RdmaFrame::kClose);  // nobody has acknowledged a packet
  EXPECT_FALSE(done.ready());
  say(RdmaFrame::kDone, slice, "closed", Code::kUnavailable);
  const FakePeer::Frame write = fake_.receive(FrameKind::kWrite);
  fake_.send({.kind = FrameKind::kDone, .request_id = write.header.request_id});
  EXPECT_TRUE(done.get().ok());
}

TEST_F(RdmaPeersWithPorts, PostedOperationHoldsTheMemoryOfACancelledBatchUntilThePathIsGivenUp) {
  say_ports();
  Later<Status> done = submit(Op::kRead);
  say_opened();
  say_granted(RdmaFrame::kGrantRead);
  fake_.send({.kind = FrameKind::kCall, .request_id = 5, .argument = 1}, "is the grant taken?");
  fake_.receive(FrameKind::kReply);
  node()->cancel(batch_);
  Later<bool> gone = unregister();
  node().drain();
  EXPECT_FALSE(gone.ready()) << "the device may write into it";
  EXPECT_EQ(done.get().code(), Code::kCancelled) << "with no word of the owner";
  EXPECT_TRUE(gone.get());
}

TEST_F(RdmaPeersWithPorts, GivenUpWriteWhosePathIsDeadKeepsOthersFromItsRangeUntilTheOwnerHasDoneWithIt) {
  say_ports();
  Later<Status> first = submit(Op::kWrite);
  say_opened();
  const std::uint64_t slice = say_granted(RdmaFrame::kGrantWrite);
  fake_.send({.kind = FrameKind::kCall, .request_id = 5, .argument = 1}, "is the grant taken?");
  fake_.receive(FrameKind::kReply);
  node()->cancel(batch_);
  heard(RdmaFrame::kClose);
  EXPECT_EQ(first.get().code(), Code::kCancelled) << "its memory is free";
  Later<Status> second = submit(Op::kWrite);
  fake_.send({.kind = FrameKind::kCall, .request_id = 6, .argument = 1}, "what is said meanwhile?");
  for (FakePeer::Frame frame = fake_.receive(); frame.header.kind != FrameKind::kReply; frame = fake_.receive()) {
    ASSERT_FALSE(frame.end);
    EXPECT_NE(frame.header.kind, FrameKind::kWrite);
    EXPECT_NE(frame.header.kind, FrameKind::kRdma);
  }
  say(RdmaFrame::kDone, slice, "closed", Code::kUnavailable);
  const FakePeer::Frame write = fake_.receive(FrameKind::kWrite);
  fake_.send({.kind = FrameKind::kDone, .request_id = write.header.request_id});
  EXPECT_TRUE(second.get().ok());
}

TEST_F(RdmaPeersWithPorts, RevocationThatThePeerTellsOfEndsTheSliceAtOnce) {
  say_ports();
  Later<Status> done = submit(Op::kRead);
  say_opened();
  const std::uint64_t slice = say_granted(RdmaFrame::kGrantRead);
  say(RdmaFrame::kDone, slice, "unregistered", Code::kStale);
  EXPECT_EQ(done.get().code(), Code::kStale);
  EXPECT_TRUE(unregister().get());
}

TEST_F(RdmaPeersWithPorts, PeerThatIsLostFailsPostedSlicesAtOnce) {
  say_ports();
  Later<Status> done = submit(Op::kWrite);
  say_opened();
  say_granted(RdmaFrame::kGrantWrite);
  fake_.reset();
  EXPECT_EQ(done.get().code(), Code::kPeerLost);
  EXPECT_TRUE(unregister().get());
}

TEST_F(RdmaPeersWithPorts, WhatCannotBeEndsThePeer) {
  const auto expect_end = [this](const std::function<void()>& lie) {
    lie();
    EXPECT_EQ(fake_.receive_close().code(), Code::kCorrupt);
    fake_.hello().epoch = random_seed() | 1;
    fake_.hello().connection = random_seed() | 1;
    fake_.hello().session = random_seed() | 1;
    fake_.dial(node()->name());
    fake_.greet();
    peer_ = *node()->connect(fake_.name());
  };
  const auto ports = [](std::size_t count) { return encode_rdma_ports(std::vector(count, some_port())); };
  const RdmaEnd end{.address = some_port()};
  expect_end([&] { say(RdmaFrame::kPorts, 0); });
  expect_end([&] {
    say(RdmaFrame::kPorts, 0, ports(1));
    say(RdmaFrame::kPorts, 0, ports(2));
  });
  expect_end([&] { say(RdmaFrame::kGranted, 9, encode_rdma_granted({})); });
  expect_end([&] { say(RdmaFrame::kOpen, 1, encode_rdma_open({.opener = end, .port = 1})); });
  expect_end([&] { say(RdmaFrame::kGrantRead, 1, "short"); });
  expect_end([&] {
    say_ports();
    submit(Op::kWrite);
    say_opened(5);  // longer packets than the port of this side can do
  });
  expect_end([&] {
    say_ports();
    submit(Op::kRead);
    say_opened();
    say(RdmaFrame::kDone, heard(RdmaFrame::kGrantRead).header.request_id);
  });
}

TEST_F(RdmaPeersWithPorts, GrantOnAnEndpointThatIsOverMayBeAskedForElsewhere) {
  say_ports();
  say(RdmaFrame::kGrantRead, 7, encode_rdma_grant({.range = {segment_, 0, kBytes}, .endpoint = 3}));
  const FakePeer::Frame done = heard(RdmaFrame::kDone);
  EXPECT_EQ(done.header.request_id, 7u);
  EXPECT_EQ(decode_rdma_status(done.header.argument, done.payload).code(), Code::kUnavailable);
  say(RdmaFrame::kClose, 3);  // crosses with the end of it
  say(RdmaFrame::kDone, 99, "too late", Code::kStale);
  say(RdmaFrame::kGrantRead, 8, encode_rdma_grant({.range = {segment_, 0, kBytes}, .endpoint = 3}));
  EXPECT_EQ(heard(RdmaFrame::kDone).header.request_id, 8u);
  EXPECT_TRUE(unregister().get());
}

}  // namespace
}  // namespace mooncake::transfer
