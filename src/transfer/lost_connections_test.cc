// Connections of a live peer that break, over and over, while batches and messages are under way: nothing fails,
// nothing is lost, nothing is heard twice, and no byte is wrong. The sockets are broken from outside, as a network
// would.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <deque>

#include "transfer/fake_peer.h"
#include "transfer/remote_peer.h"
#include "transfer/test_node.h"
#include "transfer/test_sockets.h"

namespace mooncake::transfer {
namespace {

using Op = TransferRequest::Op;
constexpr std::uint16_t kEcho = 900;
constexpr std::size_t kBytes = 64u << 20;
constexpr std::size_t kRequestBytes = 3u << 20;  // two or three slices each, and not a multiple of their size

/// Breaks one of A's connections to B after another, all but one, until it is told to stop. That one carries neither
/// messages (the oldest does) nor more slices than the others.
class Breaker {
 public:
  explicit Breaker(std::string target) : target_(std::move(target)), thread_([this] { run(); }) {}
  ~Breaker() {
    stop_ = true;
    thread_.join();
  }

 private:
  void run() {
    Rng rng(11);
    const int spared = sockets_to(target_).back();
    while (!stop_) {
      std::vector<int> sockets = sockets_to(target_);
      std::erase(sockets, spared);
      if (!sockets.empty()) reset_socket(sockets[rng.below(sockets.size())]);
      std::this_thread::sleep_for(Millis(3));  // lets something get under way before the next blow
    }
  }

  const std::string target_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class LostConnections : public testing::Test {
 protected:
  LostConnections()
      : a_({.node_name = "a", .connections_per_peer = 8, .enable_shm = false}),
        b_({.node_name = "b", .connections_per_peer = 8, .enable_shm = false}) {
    b_.serve_echo(kEcho);
    EXPECT_TRUE(a_.ask(b_, kEcho, "").ok());
    EXPECT_TRUE(eventually([&] { return sockets_to(b_->name()).size() == 8; }));
  }

  std::vector<TransferRequest> requests(Op op, SegmentHandle segment) {
    std::vector<TransferRequest> all;
    for (std::size_t at = 0; at + kRequestBytes <= kBytes; at += kRequestBytes) {
      all.push_back({.op = op, .local = ByteSpan(here_).subspan(at, kRequestBytes), .segment = segment, .offset = at});
    }
    return all;
  }
  void expect_equal() {
    const std::size_t moved = kBytes / kRequestBytes * kRequestBytes;
    EXPECT_EQ(std::memcmp(here_.data(), there_.data(), moved), 0);
  }

  std::vector<std::byte> here_ = noise(kBytes, 1);
  std::vector<std::byte> there_ = noise(kBytes, 2);
  TestNode a_;
  TestNode b_;
};

TEST_F(LostConnections, BatchesGoOnOverTheOthersAndEveryByteIsRight) {
  static_cast<void>(*a_->register_memory(here_, Access::kNone));
  const SegmentHandle segment = *b_->register_memory(there_, Access::kReadWrite);
  const PeerHandle peer = a_.peer(b_);
  const Breaker breaker(b_->name());
  for (int round = 0; total(a_).slices_retried < 20 && round < 200; ++round) {
    const Op op = round % 2 == 0 ? Op::kWrite : Op::kRead;
    std::ranges::copy(noise(4096, round), (op == Op::kWrite ? here_ : there_).begin() + round * 4096);
    const Status status = a_->submit_and_wait(peer, requests(op, segment), soon());
    ASSERT_TRUE(status.ok()) << status.to_string();
    expect_equal();
  }
  EXPECT_GE(total(a_).slices_retried, 20u);
  EXPECT_GE(total(a_).connections_lost, 1u);
}

TEST_F(LostConnections, MessagesAreHeardOnceAndInOrder) {
  constexpr std::uint16_t kCount = 901;
  constexpr std::uint64_t kCalls = 20'000;
  std::uint64_t expected = 0;  // on b's loop
  std::atomic<int> wrong{0};
  b_->serve(kCount, [&](PeerHandle, const std::string& payload, Responder responder) {
    if (payload.substr(0, 20) != fmt::format("{:020}", expected++)) ++wrong;
    responder.reply(payload);
  });
  const PeerHandle peer = a_.peer(b_);
  const Breaker breaker(b_->name());
  std::atomic<std::uint64_t> answered{0};
  Later<bool> all;
  std::uint64_t made = 0;
  std::function<void()> next = [&, set = all.setter()] {
    if (made == kCalls) return;
    const std::string payload = fmt::format("{:020}", made) + std::string(made % 50 == 0 ? 100'000 : 100, 'x');
    ++made;
    a_->call(peer, kCount, payload, soon(), [&, set, payload](const Result<std::string>& answer) {
      if (!answer.ok() || *answer != payload) ++wrong;
      if (++answered == kCalls) return set(true);  // the test may be over now
      next();
    });
  };
  a_.loop().post([&] {
    for (int i = 0; i < 32; ++i) next();
  });
  EXPECT_TRUE(all.get());
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_EQ(answered.load(), kCalls);
  EXPECT_GE(total(a_).connections_lost, 1u);
}

TEST_F(LostConnections, NotifyArrivesOnceAfterTheLastByte) {
  static_cast<void>(*a_->register_memory(here_, Access::kNone));
  const SegmentHandle segment = *b_->register_memory(there_, Access::kReadWrite);
  constexpr std::uint16_t kArrived = 902;
  std::atomic<int> heard{0};
  std::atomic<int> early{0};
  b_->serve(kArrived, [&](PeerHandle, const std::string&, const Responder&) {
    ++heard;
    if (std::memcmp(here_.data(), there_.data(), kBytes / kRequestBytes * kRequestBytes) != 0) ++early;
  });
  const Breaker breaker(b_->name());
  for (int round = 0; round < 10; ++round) {
    std::ranges::copy(noise(4096, 100 + round), here_.begin());
    Later<Status> done;
    a_->submit(a_.peer(b_), requests(Op::kWrite, segment), soon(), Notify{kArrived, "all"}, done.setter());
    ASSERT_TRUE(done.get().ok());
    b_.drain();  // the handler has looked at what arrived
  }
  EXPECT_EQ(heard.load(), 10);
  EXPECT_EQ(early.load(), 0);
}

TEST_F(LostConnections, LastOneEndsThePeer) {
  Later<PeerHandle> lost;
  a_->on_peer_lost(lost.setter());
  const PeerHandle peer = a_.peer(b_);
  for (const int fd : sockets_to(b_->name())) reset_socket(fd);
  EXPECT_EQ(lost.get(), peer);
}

TEST_F(LostConnections, AreDialledAgain) {
  const std::vector<int> before = sockets_to(b_->name());
  for (std::size_t i = 1; i < before.size(); ++i) reset_socket(before[i]);
  EXPECT_TRUE(eventually([&] { return sockets_to(b_->name()).size() == 8; }));  // within a second or so
  EXPECT_EQ(*a_.ask(b_, kEcho, "still"), "still");
}

TEST_F(LostConnections, CancelledBatchGivesItsMemoryBackThoughItsConnectionIsLost) {
  static_cast<void>(*a_->register_memory(here_, Access::kNone));
  const SegmentHandle segment = *b_->register_memory(there_, Access::kReadWrite);
  const Breaker breaker(b_->name());
  for (int round = 0; round < 40; ++round) {
    Later<Status> done;
    const Batch batch = a_->submit(a_.peer(b_), requests(round % 2 == 0 ? Op::kWrite : Op::kRead, segment), soon(),
                                   std::nullopt, done.setter());
    a_->cancel(batch);
    const Status status = done.get();
    EXPECT_TRUE(status.ok() || status.code() == Code::kCancelled) << status.to_string();
  }
}

TEST(LostShm, BatchesGoOnByTcp) {
  TestNode a({.node_name = "a"});
  TestNode b({.node_name = "b"});
  const ByteSpan here = *a->allocate_shared(kBytes);
  const ByteSpan there = *b->allocate_shared(kBytes);
  std::ranges::copy(noise(kBytes, 5), here.begin());
  static_cast<void>(*a->register_memory(here, Access::kNone));
  const SegmentHandle segment = *b->register_memory(there, Access::kReadWrite);
  const TransferRequest request{.op = Op::kWrite, .local = here, .segment = segment, .offset = 0};
  ASSERT_TRUE(a->submit_and_wait(a.peer(b), std::span(&request, 1), soon()).ok());
  std::ranges::fill(there, std::byte{0});
  std::vector<Later<Status>> done(8);
  for (Later<Status>& one : done) a->submit(a.peer(b), std::span(&request, 1), soon(), std::nullopt, one.setter());
  for (const int fd : unix_sockets()) shut_socket(fd);
  for (Later<Status>& one : done) EXPECT_TRUE(one.get().ok());
  EXPECT_TRUE(std::ranges::equal(here, there));
  EXPECT_GE(total(a).connections_lost, 1u);
}

// Hellos cross, and packets get lost: another connection could overtake the first hello on its way.
TEST(FurtherConnections, AreDialledWhenThePeerSaysThatItHasTheFirstHello) {
  TestNode node({.node_name = "node", .connections_per_peer = 2, .enable_shm = false});
  node.serve_echo(kEcho);
  FakePeer fake;
  static_cast<void>(*node->connect(fake.name()));
  fake.accept();
  fake.send({.kind = FrameKind::kCall, .request_id = 1, .argument = kEcho}, "hello");
  EXPECT_EQ(fake.receive(FrameKind::kReply).payload, "hello");  // so the node has ours, and the peer is live
  EXPECT_FALSE(fake.is_dialled());
  std::string session(8, '\0');
  store_le(reinterpret_cast<std::byte*>(session.data()), std::uint64_t{77});
  fake.send({.kind = FrameKind::kJoined}, session);
  EXPECT_TRUE(eventually([&] { return fake.is_dialled(); }));
}

TEST(LostPeer, IsNotFoundByItsNameAnyMoreWhenItsCallsFail) {
  TestNode node({.node_name = "node", .connections_per_peer = 1, .enable_shm = false});
  std::deque<FakePeer> fakes;  // to the end: a port that comes up again may be that of a dial under way
  for (int round = 0; round < 50; ++round) {
    FakePeer& fake = fakes.emplace_back();
    const PeerHandle old = *node->connect(fake.name());
    fake.accept();
    Later<PeerHandle> next;
    node->call(old, kEcho, "", soon(), [&, set = next.setter()](const Result<std::string>& answer) {
      EXPECT_EQ(answer.status().code(), Code::kPeerLost) << answer.status().message();
      set(*node->connect(fake.name()));
    });
    fake.receive(FrameKind::kCall);
    fake.reset();
    EXPECT_NE(next.get(), old);
  }
}

/// A peer with two connections, played by hand.
class FencedPeer : public testing::Test {
 protected:
  FencedPeer() : node_({.node_name = "node", .connections_per_peer = 1, .enable_shm = false}) {
    node_.serve_echo(kEcho);
    first_.dial(node_->name());
    first_.greet();
    second_.hello() = first_.hello();
    second_.hello().role = ConnectionRole::kExtra;
    second_.hello().connection = first_.hello().connection + 2;
    second_.dial(node_->name());
    second_.greet();
    expect_alive(second_, 1);
  }
  void expect_alive(FakePeer& peer, std::uint64_t id) {
    peer.send({.kind = FrameKind::kCall, .request_id = id, .argument = kEcho}, "ping");
    EXPECT_EQ(first_.receive(FrameKind::kReply).header.request_id, id);
  }

  TestNode node_;
  FakePeer first_;  // carries the node's messages: it is the oldest
  FakePeer second_;
};

TEST_F(FencedPeer, NothingOfAFencedConnectionReachesMemoryAnyMore) {
  std::vector<std::byte> memory(1 << 20);
  const SegmentHandle segment = *node_->register_memory(memory, Access::kWrite);
  const std::string payload =
      range_payload({.segment = segment, .offset = 0, .length = 1 << 20}, std::string(1 << 20, 'x'));
  const OutFrame write = OutFrame::make({.kind = FrameKind::kWrite, .request_id = 5}, {}, payload);
  second_.send_raw({reinterpret_cast<const char*>(write.head.data()), write.head_bytes});
  second_.send_raw(std::string_view(payload).substr(0, 1 << 19));
  first_.send({.kind = FrameKind::kFence, .request_id = second_.hello().connection});
  const FakePeer::Frame answer = first_.receive(FrameKind::kFenced);
  EXPECT_EQ(answer.header.request_id, second_.hello().connection);
  EXPECT_EQ(*decode_count(as_bytes(answer.payload)), 1u);  // the ping
  std::ranges::fill(memory, std::byte{0xee});
  second_.send_raw(std::string_view(payload).substr(1 << 19));
  Later<bool> gone;
  ASSERT_TRUE(node_->unregister_memory(segment, [set = gone.setter()] { set(true); }).ok());
  EXPECT_TRUE(gone.get());
  expect_alive(first_, 2);
  EXPECT_TRUE(std::ranges::all_of(memory, [](std::byte b) { return b == std::byte{0xee}; }));
}

TEST_F(FencedPeer, MessagesBeginAgainAfterTheLastThatHasCome) {
  for (std::uint64_t id = 10; id < 14; ++id) {
    second_.send({.kind = FrameKind::kCall, .request_id = id, .argument = kEcho}, std::to_string(id));
    EXPECT_EQ(first_.receive(FrameKind::kReply).header.request_id, id);
  }
  first_.reset();
  const FakePeer::Frame fence = second_.receive(FrameKind::kFence);
  EXPECT_EQ(fence.header.request_id, first_.hello().connection);
  std::string count(8, '\0');
  store_le(reinterpret_cast<std::byte*>(count.data()), std::uint64_t{3});  // of 5 replies: "10" and "11" came
  second_.send({.kind = FrameKind::kFenced, .request_id = fence.header.request_id}, count);
  EXPECT_EQ(second_.receive(FrameKind::kReply).header.request_id, 12u);
  EXPECT_EQ(second_.receive(FrameKind::kReply).header.request_id, 13u);
}

TEST_F(FencedPeer, CountThatCannotBeEndsThePeer) {
  first_.reset();
  const FakePeer::Frame fence = second_.receive(FrameKind::kFence);
  second_.send({.kind = FrameKind::kFenced, .request_id = fence.header.request_id}, std::string(8, '\x7f'));
  EXPECT_EQ(second_.receive_close().code(), Code::kCorrupt);
}

TEST_F(FencedPeer, PeerThatFencesNothingIsEndedAtTheLimit) {
  for (std::uint64_t lost = 0; lost <= kFencesMax; ++lost) {
    FakePeer extra;
    extra.hello() = second_.hello();
    extra.hello().connection += 2 * (lost + 1);
    extra.dial(node_->name());
    extra.greet();
    expect_alive(extra, 100 + lost);
    extra.reset();
    if (lost < kFencesMax) {
      EXPECT_FALSE(first_.receive(FrameKind::kFence).end) << lost;
    }
  }
  EXPECT_EQ(first_.receive_close().code(), Code::kExhausted);
}

TEST_F(FencedPeer, ConnectionThatFencesItselfEndsThePeer) {
  second_.send({.kind = FrameKind::kFence, .request_id = second_.hello().connection});
  EXPECT_EQ(second_.receive_close().code(), Code::kCorrupt);
}

TEST_F(FencedPeer, ConnectionThatWasFencedBeforeItCameIsRefused) {
  FakePeer late;
  late.hello() = second_.hello();
  late.hello().connection += 2;
  first_.send({.kind = FrameKind::kFence, .request_id = late.hello().connection});
  EXPECT_FALSE(first_.receive(FrameKind::kFenced).end);
  late.dial(node_->name());
  late.greet();
  EXPECT_EQ(late.receive_close().code(), Code::kStale);
  expect_alive(second_, 7);
}

}  // namespace
}  // namespace mooncake::transfer
