// Messages of two engines over soft-RoCE: that they go by a lane, stay in order, and that none is lost or heard twice
// when lanes are lost under them. Needs `make test-rdma`.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "transfer/auth/key_ring.h"
#include "transfer/auth/test_secrets.h"
#include "transfer/fake_peer.h"
#include "transfer/rdma/rdma_frame.h"
#include "transfer/rdma/test_rdma.h"
#include "transfer/test_node.h"

namespace mooncake::transfer {
namespace {

constexpr std::uint16_t kEcho = 1;
constexpr std::uint16_t kCount = 2;
constexpr std::uint16_t kHold = 3;

TransferConfig config(const char* name) {
  return {.node_name = name, .enable_shm = false, .rdma_devices = "rxe0,rxe1"};
}

/// Calls that a node made and that were made to it, by what they went by.
std::uint64_t calls(TestNode& node, std::string_view transport) {
  std::uint64_t sum = 0;
  for (const CallStats& row : node->call_stats()) {
    if (row.transport == transport) sum += row.calls_received + row.calls_failed + row.latency.count();
  }
  return sum;
}

class RdmaMessages : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_soft_roce()) GTEST_SKIP() << kNoRdma;
    begin(config("a"), config("b"));
  }
  void TearDown() override {
    if (!has_soft_roce()) return;
    for (const int rail : {0, 1}) set_rail(rail, rail == 0 ? "mtu 1500 up" : "mtu 9000 up");
  }

  void begin(TransferConfig one, TransferConfig other) {
    a_ = std::make_unique<TestNode>(std::move(one));
    b_ = std::make_unique<TestNode>(std::move(other));
    a().serve_echo(kEcho);
    b().serve_echo(kEcho);
    made_ = expected_ = 0;
    b()->serve(kCount, [this](PeerHandle, const std::string& payload, Responder responder) {
      if (payload.substr(0, 20) != fmt::format("{:020}", expected_++)) ++wrong_;
      responder.reply(payload);
    });
  }
  TestNode& a() { return *a_; }
  TestNode& b() { return *b_; }

  /// Calls from each to the other until both go by that.
  void await(const std::string& transport) {
    for (const auto& [from, to] : {std::pair{a_.get(), b_.get()}, std::pair{b_.get(), a_.get()}}) {
      ASSERT_TRUE(eventually([&, from = from, to = to] {
        const std::uint64_t before = calls(*to, transport);
        return from->ask(*to, kEcho, "x").ok() && calls(*to, transport) > before;
      })) << transport;
    }
  }

  /// `count` calls from a to b, 64 of them in flight, while `between` runs. Each must be heard once and in order, and
  /// be answered.
  void exchange(
      std::uint64_t count, const std::function<void()>& between = [] {}) {
    const PeerHandle peer = a().peer(b());
    std::atomic<std::uint64_t> answered{0};
    Later<bool> all;
    std::uint64_t made = 0;
    std::function<void()> next = [&, set = all.setter()] {
      if (made == count) return;
      ++made;
      const std::string payload = fmt::format("{:020}", made_) + std::string(size_of(made_), 'x');
      ++made_;
      a()->call(peer, kCount, payload, soon(), [&, set, payload](const Result<std::string>& answer) {
        if (!answer.ok() || *answer != payload) ++wrong_;
        if (++answered == count) return set(true);  // the test may be over now
        next();
      });
    };
    a().loop().post([&] {
      for (int i = 0; i < 64; ++i) next();
    });
    EXPECT_TRUE(eventually([&] { return answered > count / 4; }));
    between();
    EXPECT_TRUE(all.get());
    EXPECT_EQ(wrong_.load(), 0);
    EXPECT_EQ(answered.load(), count);
    a().drain();  // the last callback is over
  }
  static std::size_t size_of(std::uint64_t number) {
    if (number % 101 == 0) return 100'000;
    return number % 7 == 0 ? 5'000 : 60;
  }

  std::uint64_t made_ = 0;      // on a's loop
  std::uint64_t expected_ = 0;  // on b's loop: the next that is heard
  std::atomic<int> wrong_{0};
  std::unique_ptr<TestNode> a_;
  std::unique_ptr<TestNode> b_;
};

TEST_F(RdmaMessages, CallsGoByRdmaAndNotByTcp) {
  await("rdma");
  const std::uint64_t tcp = calls(a(), "tcp") + calls(b(), "tcp");
  const std::uint64_t rdma = calls(a(), "rdma");
  const std::uint64_t heard = calls(b(), "rdma");
  const std::uint64_t packets = packets_sent(0) + packets_sent(1);
  for (int i = 0; i < 50; ++i) ASSERT_EQ(*a().ask(b(), kEcho, "hello"), "hello");
  EXPECT_EQ(calls(a(), "tcp") + calls(b(), "tcp"), tcp);
  EXPECT_EQ(calls(a(), "rdma"), rdma + 50);
  EXPECT_EQ(calls(b(), "rdma"), heard + 50);
  EXPECT_GE(packets_sent(0) + packets_sent(1), packets + 100) << "each call and each answer is one at least";
}

TEST_F(RdmaMessages, LargestMessageGoesByRdmaAndMayBeTheFirst) {
  const std::string large(kMessageBytesMax, 'l');
  EXPECT_EQ(*a().ask(b(), kEcho, large), large);
  await("rdma");
  const std::uint64_t tcp = calls(a(), "tcp");
  EXPECT_EQ(*a().ask(b(), kEcho, large), large);
  EXPECT_EQ(*b().ask(a(), kEcho, large), large);
  EXPECT_EQ(calls(a(), "tcp"), tcp);
}

TEST_F(RdmaMessages, MessagesOfAllSizesStayInOrderWhileTheyTurnToRdma) { exchange(600); }

TEST_F(RdmaMessages, MessagesOfAllSizesStayInOrderOverRdma) {
  await("rdma");
  const std::uint64_t before = calls(a(), "rdma");
  exchange(600);
  EXPECT_EQ(calls(a(), "rdma"), before + 600);
}

TEST_F(RdmaMessages, PortThatGoesDownLosesNoMessageAndTheOtherTakesOver) {
  await("rdma");
  const int rail = [&] {
    const std::uint64_t before = packets_sent(0);
    EXPECT_TRUE(a().ask(b(), kEcho, "x").ok());
    return packets_sent(0) > before ? 0 : 1;
  }();
  exchange(1500, [&] { set_rail(rail, "down"); });
  EXPECT_EQ(total(a(), {}, "rdma", rail == 0 ? "rxe0:1" : "rxe1:1").connections_lost, 1u);
  await("rdma");
}

TEST_F(RdmaMessages, WithoutAnyPortMessagesGoByTcpAndLaterByRdmaAgain) {
  await("rdma");
  exchange(1500, [] {
    set_rail(0, "down");
    set_rail(1, "down");
  });
  await("tcp");
  exchange(300);
  set_rail(1, "up");
  await("rdma");
  exchange(300);
}

TEST_F(RdmaMessages, PortsThatComeAndGoLoseNothing) {
  await("rdma");
  exchange(3000, [] {
    for (int i = 0; i < 6; ++i) {
      set_rail(i % 2, "down");
      packets_sent(0);  // for some ticks
      set_rail(i % 2, "up");
    }
  });
}

TEST_F(RdmaMessages, SealedMessagesGoByRdmaToo) {
  const SecretDir secrets;
  const std::string file = secrets.write("secret", kSecret);
  TransferConfig one = config("a");
  TransferConfig other = config("b");
  one.auth = other.auth = mac_config(file).auth;
  begin(one, other);
  await("rdma");
  exchange(300, [] { set_rail(0, "down"); });
  await("rdma");
}

TEST_F(RdmaMessages, TenantsMessagesGoByRdmaUnderItsKey) {
  const SecretDir secrets;
  const std::string file = secrets.write("secret", kSecret);
  TransferConfig one = config("a");
  TransferConfig other = config("b");
  one.auth = mac_config(secrets.write("key", tenant_key(kSecret, "t")), "a", "t").auth;
  other.auth = mac_config(file).auth;
  begin(one, other);
  const PeerHandle peer = a().peer(b());
  EXPECT_TRUE(eventually([&] {
    const std::uint64_t before = calls(b(), "rdma");
    return a()->call_and_wait(peer, kEcho, "x", soon()).ok() && calls(b(), "rdma") > before;
  }));
}

TEST_F(RdmaMessages, PeerThatEndsFailsItsCallsAtOnce) {
  await("rdma");
  b()->serve(kHold, [held = std::make_shared<std::vector<Responder>>()](PeerHandle, const std::string&, Responder to) {
    held->push_back(std::move(to));
  });
  Later<Result<std::string>> answer;
  a()->call(a().peer(b()), kHold, "", soon(), answer.setter());
  ASSERT_TRUE(a().ask(b(), kEcho, "").ok());
  b().destroy_engine();
  EXPECT_EQ(answer.get().status().code(), Code::kPeerLost);
}

TEST_F(RdmaMessages, OlderPeerKeepsTcp) {
  FakePeer fake;
  fake.hello().features = kFeatureRdma;
  fake.dial(a()->name());
  fake.greet();
  fake.send({.kind = FrameKind::kRdma, .argument = rdma_argument(RdmaFrame::kPorts)},
            encode_rdma_ports({RdmaAddress{.up = true}}));
  fake.send({.kind = FrameKind::kCall, .request_id = 5, .argument = kEcho}, "hello");
  FakePeer::Frame frame = fake.receive();
  for (; !frame.end && frame.header.kind != FrameKind::kReply; frame = fake.receive()) {
    if (frame.header.kind == FrameKind::kRdma) {
      EXPECT_LE(*decode_rdma_frame(frame.header.argument), RdmaFrame::kDone);
    }
  }
  EXPECT_EQ(frame.payload, "hello");
  fake.send({.kind = FrameKind::kRdma, .request_id = 1, .argument = rdma_argument(RdmaFrame::kOpenLane)},
            encode_rdma_open({.opener = {.address = {.up = true}}, .port = 0}));
  EXPECT_EQ(fake.receive_close().code(), Code::kCorrupt) << "it did not say that it knows of lanes";
}

}  // namespace
}  // namespace mooncake::transfer
