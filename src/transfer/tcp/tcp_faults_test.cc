// Against a peer that stalls, lies or breaks off at the worst moment: memory is let go of in time and never touched
// later, each operation ends once, and the engine goes on serving others.
#include <gmock/gmock.h>

#include "transfer/fake_peer.h"
#include "transfer/test_node.h"

namespace mooncake::transfer {
namespace {

constexpr std::uint16_t kEcho = 900;
/// Of what is to be under way when its deadline passes, also on a busy machine.
constexpr Millis kShort{1'000};
constexpr std::uint16_t kLongReply = 901;
using Op = TransferRequest::Op;

class TcpFaults : public testing::Test {
 protected:
  TcpFaults() : node_({.node_name = "node", .connections_per_peer = 1, .enable_shm = false}) {
    node_.serve_echo(kEcho);
  }

  /// The engine's handle of the fake, connected.
  PeerHandle meet() {
    const PeerHandle peer = *node_->connect(fake_.name());
    fake_.accept();
    return peer;
  }
  Batch submit(PeerHandle peer, Op op, ByteSpan local, Later<Status>& done, Deadline deadline = soon()) {
    const TransferRequest request{.op = op, .local = local, .segment = {0, 1}, .offset = 0};
    return node_->submit(peer, std::span(&request, 1), deadline, std::nullopt, done.setter());
  }
  Later<bool> unregister(SegmentHandle segment) {
    Later<bool> gone;
    EXPECT_TRUE(node_->unregister_memory(segment, [set = gone.setter()] { set(true); }).ok());
    return gone;
  }
  /// The connection to the fake still works.
  void expect_alive() {
    fake_.send({.kind = FrameKind::kCall, .request_id = 77, .argument = kEcho}, "ping");
    const FakePeer::Frame reply = fake_.receive(FrameKind::kReply);
    EXPECT_EQ(reply.header.request_id, 77u);
    EXPECT_EQ(reply.payload, "ping");
  }
  /// The engine serves others.
  void expect_serving() {
    TestNode other;
    EXPECT_EQ(*other.ask(node_, kEcho, "hello"), "hello");
  }
  /// The fake reads all of a segment of 8 MiB, three times. @return the header of the first answer.
  FakePeer::Frame ask_three_times(SegmentHandle segment) {
    for (std::uint64_t id = 1; id <= 3; ++id) {
      fake_.send({.kind = FrameKind::kRead, .request_id = id},
                 range_payload({.segment = segment, .offset = 0, .length = 8 << 20}));
    }
    return fake_.receive_header();
  }
  static std::string text(ConstByteSpan bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

  std::vector<std::byte> memory_ = noise(8 << 20, 1);
  FakePeer fake_;
  TestNode node_;
};

TEST_F(TcpFaults, PeerResetFailsBatchOnce) {
  const SegmentHandle segment = *node_->register_memory(memory_, Access::kNone);
  const PeerHandle peer = meet();
  Later<PeerHandle> lost;
  node_->on_peer_lost(lost.setter());
  std::atomic<int> calls{0};
  Later<Status> done;
  const TransferRequest request{.op = Op::kWrite, .local = memory_, .segment = {0, 1}, .offset = 0};
  node_->submit(peer, std::span(&request, 1), soon(), std::nullopt, [&, set = done.setter()](Status status) {
    ++calls;
    set(std::move(status));
  });
  ASSERT_EQ(fake_.receive().header.kind, FrameKind::kWrite);
  fake_.reset();
  EXPECT_EQ(done.get().code(), Code::kPeerLost);
  EXPECT_EQ(lost.get(), peer);
  node_.drain();
  EXPECT_EQ(calls.load(), 1);
  EXPECT_TRUE(unregister(segment).get());
}

TEST_F(TcpFaults, DeadlineFreesTheBuffersOfAWriteThatNobodyReadsAndTheStreamStaysWhole) {
  const SegmentHandle segment = *node_->register_memory(memory_, Access::kNone);
  const PeerHandle peer = meet();
  Later<Status> done;
  submit(peer, Op::kWrite, memory_, done, in(kShort));
  EXPECT_EQ(done.get().code(), Code::kDeadlineExceeded);
  EXPECT_TRUE(unregister(segment).get());
  std::ranges::fill(memory_, std::byte{0});  // it is ours again; what is still sent is a copy
  const FakePeer::Frame frame = fake_.receive();
  ASSERT_EQ(frame.header.kind, FrameKind::kWrite);
  EXPECT_EQ(frame.payload.substr(kRangeBytes), text(noise(8 << 20, 1)).substr(0, frame.payload.size() - kRangeBytes));
  expect_alive();
}

TEST_F(TcpFaults, DataThatComesAfterTheDeadlineIsThrownAway) {
  const SegmentHandle segment = *node_->register_memory(memory_, Access::kNone);
  const PeerHandle peer = meet();
  Later<Status> done;
  submit(peer, Op::kRead, ByteSpan(memory_).first(4096), done, in(kShort));
  const FakePeer::Frame read = fake_.receive(FrameKind::kRead);
  EXPECT_EQ(done.get().code(), Code::kDeadlineExceeded);
  EXPECT_TRUE(unregister(segment).get());
  fake_.send({.kind = FrameKind::kData, .request_id = read.header.request_id}, std::string(4096, 'x'));
  expect_alive();
  EXPECT_EQ(memory_, noise(8 << 20, 1));
}

TEST_F(TcpFaults, DataThatHasHalfArrivedAtTheCancelIsThrownAwayFromThereOn) {
  std::ranges::fill(memory_, std::byte{0});
  const SegmentHandle segment = *node_->register_memory(memory_, Access::kNone);
  const PeerHandle peer = meet();
  Later<Status> done;
  const Batch batch = submit(peer, Op::kRead, ByteSpan(memory_).first(1 << 20), done);
  const FakePeer::Frame read = fake_.receive(FrameKind::kRead);
  const OutFrame data =
      OutFrame::make({.kind = FrameKind::kData, .request_id = read.header.request_id}, {}, std::string(1 << 20, 'x'));
  fake_.send_raw({reinterpret_cast<const char*>(data.head.data()), data.head_bytes});
  fake_.send_raw(std::string_view(data.payload).substr(0, 1 << 19));
  node_->cancel(batch);
  EXPECT_EQ(done.get().code(), Code::kCancelled);
  EXPECT_TRUE(unregister(segment).get());
  std::ranges::fill(memory_, std::byte{0xee});
  fake_.send_raw(std::string_view(data.payload).substr(1 << 19));
  expect_alive();
  EXPECT_TRUE(std::ranges::all_of(memory_, [](std::byte b) { return b == std::byte{0xee}; }));
}

TEST_F(TcpFaults, WriteThatHasHalfArrivedAtTheRevocationIsThrownAwayFromThereOn) {
  const SegmentHandle segment = *node_->register_memory(memory_, Access::kWrite);
  fake_.dial(node_->name());
  fake_.greet();
  const std::string payload =
      range_payload({.segment = segment, .offset = 0, .length = 1 << 20}, std::string(1 << 20, 'x'));
  const OutFrame write = OutFrame::make({.kind = FrameKind::kWrite, .request_id = 5}, {}, payload);
  fake_.send_raw({reinterpret_cast<const char*>(write.head.data()), write.head_bytes});
  fake_.send_raw(std::string_view(payload).substr(0, 1 << 19));
  EXPECT_TRUE(unregister(segment).get());  // though the peer is in the middle of it
  std::ranges::fill(memory_, std::byte{0xee});
  fake_.send_raw(std::string_view(payload).substr(1 << 19));
  const FakePeer::Frame answer = fake_.receive(FrameKind::kDone);
  EXPECT_EQ(answer.header.request_id, 5u);
  EXPECT_EQ(answer.header.argument, static_cast<std::uint32_t>(Code::kStale));
  EXPECT_TRUE(std::ranges::all_of(memory_, [](std::byte b) { return b == std::byte{0xee}; }));
  expect_alive();
}

TEST_F(TcpFaults, ReaderThatDoesNotReadCannotHoldASegment) {
  const SegmentHandle segment = *node_->register_memory(memory_, Access::kRead);
  fake_.dial(node_->name());
  fake_.greet();
  FakePeer::Frame first = ask_three_times(segment);  // so the first answer is on its way, and too large for the socket
  EXPECT_TRUE(unregister(segment).get());
  std::ranges::fill(memory_, std::byte{0});
  fake_.receive_payload(first);
  EXPECT_EQ(first.header.kind, FrameKind::kData);
  EXPECT_TRUE(first.payload == text(noise(8 << 20, 1)));  // whole, and as it was
  for (int others = 0; others < 2; ++others) {
    const FakePeer::Frame refused = fake_.receive();
    EXPECT_EQ(refused.header.kind, FrameKind::kDone);
    EXPECT_EQ(refused.header.argument, static_cast<std::uint32_t>(Code::kStale));
  }
  expect_alive();
}

TEST_F(TcpFaults, ReadThatIsGivenUpIsNotSentUnlessItHasBegun) {
  const SegmentHandle segment = *node_->register_memory(memory_, Access::kRead);
  fake_.dial(node_->name());
  fake_.greet();
  FakePeer::Frame first = ask_three_times(segment);
  for (std::uint64_t id = 1; id <= 4; ++id) fake_.send({.kind = FrameKind::kCancel, .request_id = id});
  fake_.send({.kind = FrameKind::kCall, .request_id = 9, .argument = kEcho}, "after the cancels");
  fake_.receive_payload(first);
  EXPECT_TRUE(first.payload == text(noise(8 << 20, 1)));
  for (int others = 0; others < 2; ++others) {
    const FakePeer::Frame refused = fake_.receive(FrameKind::kDone);
    EXPECT_EQ(refused.header.argument, static_cast<std::uint32_t>(Code::kCancelled));
  }
  EXPECT_EQ(fake_.receive(FrameKind::kReply).header.request_id, 9u);
}

TEST_F(TcpFaults, UnregisterWaitsForTheBatchThatUsesTheSegment) {
  const SegmentHandle segment = *node_->register_memory(memory_, Access::kNone);
  const SegmentHandle inside = *node_->register_memory(ByteSpan(memory_).subspan(4096, 4096), Access::kNone);
  const SegmentHandle elsewhere = *node_->register_memory(ByteSpan(memory_).subspan(1 << 20, 4096), Access::kNone);
  const PeerHandle peer = meet();
  Later<Status> done;
  const Batch batch = submit(peer, Op::kRead, ByteSpan(memory_).first(8192), done);
  fake_.receive(FrameKind::kRead);
  Later<bool> gone = unregister(segment);
  Later<bool> inside_gone = unregister(inside);  // it shares bytes with the batch, though the batch does not name it
  EXPECT_TRUE(unregister(elsewhere).get());
  node_.drain();
  EXPECT_FALSE(gone.ready());
  EXPECT_FALSE(inside_gone.ready());
  node_->cancel(batch);
  EXPECT_EQ(done.get().code(), Code::kCancelled);
  EXPECT_TRUE(gone.get());
  EXPECT_TRUE(inside_gone.get());
}

TEST_F(TcpFaults, AnswersThatNobodyWaitsForAreIgnored) {
  fake_.dial(node_->name());
  fake_.greet();
  fake_.send({.kind = FrameKind::kReply, .request_id = 1234}, "?");
  fake_.send({.kind = FrameKind::kDone, .request_id = 1234});
  fake_.send({.kind = FrameKind::kData, .request_id = 1234}, std::string(100'000, 'x'));
  fake_.send({.kind = FrameKind::kShmOff});
  expect_alive();
}

TEST_F(TcpFaults, RepliesThatAreAcknowledgedBeforeTheyAreReadArriveWhole) {
  constexpr std::uint64_t kCalls = 64;  // whose replies are more than the sockets take
  std::atomic<std::uint64_t> replies{0};
  node_->serve(kLongReply, [&](PeerHandle, const std::string& payload, Responder responder) {
    responder.reply(std::string(kMessageBytesMax, payload[0]));
    ++replies;
  });
  fake_.dial(node_->name());
  fake_.greet();
  const auto letter = [](std::uint64_t id) { return static_cast<char>('a' + id % 26); };
  const auto call = [&](std::uint64_t id) {
    fake_.send({.kind = FrameKind::kCall, .request_id = id, .argument = kLongReply}, std::string(1, letter(id)));
  };
  const auto replied = [&](std::uint64_t count) { return eventually([&] { return replies == count; }); };
  for (std::uint64_t id = 0; id < kCalls; ++id) call(id);
  ASSERT_TRUE(replied(kCalls));
  node_.drain();  // they are on the connection
  std::string count(8, '\0');
  store_le(reinterpret_cast<std::byte*>(count.data()), kCalls);
  fake_.send({.kind = FrameKind::kAck}, count);
  call(kCalls);
  ASSERT_TRUE(replied(kCalls + 1));  // so the count has been heard
  for (std::uint64_t id = 0; id <= kCalls; ++id) {
    const FakePeer::Frame reply = fake_.receive(FrameKind::kReply);
    ASSERT_EQ(reply.header.request_id, id);
    ASSERT_TRUE(reply.payload == std::string(kMessageBytesMax, letter(id))) << id;
  }
}

TEST_F(TcpFaults, PeerThatReadsAllRepliesAndAcknowledgesNoneIsEndedAtTheLimit) {
  constexpr std::uint64_t kEchoesMax = 200;  // of 1 MiB each; the limit is 192 MiB
  fake_.dial(node_->name());
  fake_.greet();
  const std::string payload(kMessageBytesMax, 'm');
  std::uint64_t echoes = 0;
  FakePeer::Frame frame;
  for (; echoes <= kEchoesMax; ++echoes) {
    fake_.send({.kind = FrameKind::kCall, .request_id = echoes + 1, .argument = kEcho}, payload);
    do {
      frame = fake_.receive();
    } while (!frame.end && frame.header.kind == FrameKind::kAck);
    if (frame.end || frame.header.kind != FrameKind::kReply) break;
  }
  EXPECT_GE(echoes, 190u);
  EXPECT_LE(echoes, 193u);
  ASSERT_FALSE(frame.end);
  ASSERT_EQ(frame.header.kind, FrameKind::kClose);
  EXPECT_EQ(decode_status(frame.header.argument, frame.payload).code(), Code::kExhausted);
  expect_serving();
}

TEST_F(TcpFaults, FramesThatBreakTheProtocolCloseTheConnectionWithAReason) {
  const std::vector<std::pair<FrameHeader, std::string>> frames = {
      {{.kind = FrameKind::kHello}, encode_hello(fake_.hello())},
      {{.kind = FrameKind::kShmPull}, std::string(kRangeBytes + kSourceBytes, '\0')},
      {{.kind = FrameKind::kRead}, "short"},
      {{.kind = FrameKind::kRead}, range_payload({.segment = {}, .offset = 0, .length = ~0ull})},
      {{.kind = FrameKind::kWrite}, range_payload({.segment = {}, .offset = 0, .length = 100}, "99")},
      {{.version = 9, .kind = FrameKind::kCall}, ""},
      {{.kind = static_cast<FrameKind>(99)}, ""},
      {{.kind = FrameKind::kCall, .flags = 0x80}, ""},
      {{.kind = FrameKind::kShmProbe}, std::string(16, 'x')},
  };
  for (const auto& [header, payload] : frames) {
    fake_.hello().epoch = random_seed() | 1;
    fake_.dial(node_->name());
    fake_.greet();
    fake_.send(header, payload);
    const Status reason = fake_.receive_close();
    EXPECT_FALSE(reason.ok()) << frame_kind_name(header.kind);
    EXPECT_FALSE(reason.message().empty());
  }
  expect_serving();
}

TEST_F(TcpFaults, OversizeFrameIsRefusedByItsHeaderAlone) {
  fake_.dial(node_->name());
  fake_.greet();
  HeaderBytes bytes = encode_header({.kind = FrameKind::kCall, .length = kMessageBytesMax + 1});
  fake_.send_raw({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  EXPECT_EQ(fake_.receive_close().code(), Code::kExhausted);
  expect_serving();
}

TEST_F(TcpFaults, GarbageToTheListeningPortDoesNoHarm) {
  Rng rng(7);
  for (int round = 0; round < 50; ++round) {
    FakePeer stranger;
    stranger.dial(node_->name());
    const std::vector<std::byte> bytes = noise(rng.below(3000), rng.next());
    stranger.send_raw(text(bytes));
    if (round % 3 == 0) stranger.reset();
  }
  FakePeer http;
  http.dial(node_->name());
  http.send_raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n          ");
  EXPECT_EQ(http.receive_close().code(), Code::kCorrupt);
  expect_serving();
}

TEST_F(TcpFaults, HelloThatDoesNotFitIsRefusedWithTheReason) {
  const auto refused = [&](const auto& change) {
    FakePeer stranger;
    change(stranger.hello());
    stranger.dial(node_->name());
    stranger.greet();
    return stranger.receive_close();
  };
  EXPECT_EQ(refused([](Hello& hello) { hello.version_min = hello.version_max = 200; }).code(), Code::kUnsupported);
  EXPECT_EQ(refused([](Hello& hello) { hello.cluster_id = "other"; }).code(), Code::kPermissionDenied);
  EXPECT_EQ(refused([](Hello& hello) { hello.epoch = 0; }).code(), Code::kCorrupt);
  EXPECT_EQ(refused([](Hello& hello) { hello.node_name = "a\nb"; }).code(), Code::kCorrupt);
  EXPECT_EQ(refused([](Hello& hello) { hello.listen = "nowhere"; }).code(), Code::kCorrupt);
  EXPECT_EQ(refused([](Hello& hello) { hello.role = ConnectionRole::kExtra; }).code(), Code::kStale);
  EXPECT_EQ(refused([](Hello& hello) { hello.role = ConnectionRole::kShm; }).code(), Code::kCorrupt);
  EXPECT_EQ(refused([&](Hello& hello) { hello.listen = node_->name(); }).code(), Code::kCorrupt);
  // A later version that still speaks ours is welcome.
  fake_.hello().version_max = 200;
  fake_.dial(node_->name());
  fake_.greet();
  expect_alive();
}

TEST_F(TcpFaults, FirstConnectionOnARailThatIsNotThereLeavesNoPeerBehind) {
  fake_.hello().rail = 7;
  fake_.dial(node_->name());
  fake_.greet();
  EXPECT_EQ(fake_.receive_close().code(), Code::kCorrupt);
  fake_.hello().rail = 0;
  static_cast<void>(*node_->register_memory(memory_, Access::kNone));
  const PeerHandle peer = meet();  // the engine knows of none at that endpoint, and dials
  Later<Status> done;
  const Batch batch = submit(peer, Op::kRead, ByteSpan(memory_).first(4096), done);
  EXPECT_EQ(fake_.receive(FrameKind::kRead).header.kind, FrameKind::kRead);
}

TEST_F(TcpFaults, NewEpochAtAnEndpointIsAnotherPeerWhileTheOldOneIsStillConnected) {
  const PeerHandle old = meet();
  FakePeer restarted;
  restarted.hello().listen = fake_.name();
  restarted.dial(node_->name());
  restarted.greet();
  restarted.send({.kind = FrameKind::kCall, .request_id = 1, .argument = kEcho}, "");
  ASSERT_EQ(restarted.receive(FrameKind::kReply).header.request_id, 1u);
  EXPECT_NE(*node_->connect(fake_.name()), old);
  expect_alive();  // the old one, until it breaks
}

TEST_F(TcpFaults, WrongAnswersEndThePeerAndTheBatch) {
  const auto answer_with = [&](FrameHeader header, const std::string& payload) {
    FakePeer liar;
    const PeerHandle peer = *node_->connect(liar.name());
    liar.accept();
    Later<Status> done;
    submit(peer, Op::kRead, ByteSpan(memory_).first(4096), done);
    header.request_id = liar.receive(FrameKind::kRead).header.request_id;
    liar.send(header, payload);
    EXPECT_FALSE(liar.receive_close().ok());
    return done.get().code();
  };
  static_cast<void>(*node_->register_memory(memory_, Access::kNone));
  EXPECT_EQ(answer_with({.kind = FrameKind::kDone}, ""), Code::kPeerLost);
  EXPECT_EQ(answer_with({.kind = FrameKind::kData}, std::string(4095, 'x')), Code::kPeerLost);
  EXPECT_EQ(answer_with({.kind = FrameKind::kData}, std::string(4097, 'x')), Code::kPeerLost);
  EXPECT_EQ(memory_, noise(8 << 20, 1));
}

TEST_F(TcpFaults, HostThatAcceptsAndSaysNothingIsUnavailableAfterTheConnectTimeout) {
  const Status status = node_->call_and_wait(*node_->connect(fake_.name()), kEcho, "", soon()).status();
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_THAT(status.message(), testing::HasSubstr("no hello within"));
}

TEST_F(TcpFaults, ErrorOfAnUnknownCodeArrivesAsInternal) {
  const PeerHandle peer = meet();
  Later<Result<std::string>> answer;
  node_->call(peer, 1, "", soon(), answer.setter());
  const FakePeer::Frame call = fake_.receive(FrameKind::kCall);
  fake_.send({.kind = FrameKind::kReply, .request_id = call.header.request_id, .argument = 4711}, "from the future");
  EXPECT_EQ(answer.get().status().code(), Code::kInternal);
}

}  // namespace
}  // namespace mooncake::transfer
