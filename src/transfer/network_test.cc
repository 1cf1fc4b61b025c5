// Two engines in two network namespaces, joined by two rails, and what networks do to them: rails that die, come back,
// lose packets, are slow, or delay one connection more than another; partitions; and peers that are exchanged
// meanwhile.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "transfer/remote_peer.h"
#include "transfer/tcp/connection_set.h"
#include "transfer/test_network.h"
#include "transfer/test_proxy.h"
#include "transfer/test_slowdown.h"
#include "transfer/test_sockets.h"
#include "transfer/test_traffic.h"

namespace mooncake::transfer {
namespace {

using Op = TransferRequest::Op;
using std::chrono::duration_cast;
constexpr std::uint16_t kEcho = 900;
constexpr std::uint16_t kHold = 901;
constexpr std::size_t kBatchBytes = (8u << 20) / kSlowdown + 12'345;  // a few slices, of which each rail gets some
/// A peer that is gone is noticed in kPeerSilence; what is more is for a busy machine.
constexpr Millis kNoticed = kPeerSilence + Millis(2'500);

Millis since(Instant before) { return duration_cast<Millis>(std::chrono::steady_clock::now() - before); }

class Network : public testing::Test {
 protected:
  void SetUp() override {
    std::string missing;
    net_ = TestNetwork::create(missing);
    if (!net_) GTEST_SKIP() << missing;
    a_ = net_->node(TestNetwork::kA, {.node_name = "a"});
    b_ = net_->node(TestNetwork::kB, {.node_name = "b"});
    b_->serve_echo(kEcho);
    static_cast<void>((*a_)->register_memory(here_, Access::kNone));
  }

  /// Until both rails carry something; so what breaks later was in use.
  void wait_for_both_rails() {
    for (int rail = 0; rail < TestNetwork::kRails; ++rail) wait_for_bytes(rail, 4 * kBatchBytes);
  }
  void wait_for_bytes(int rail, std::uint64_t more) {
    const std::uint64_t before = net_->bytes(rail);
    const Deadline end = soon();
    while (net_->bytes(rail) < before + more && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(Millis(10));  // counters tell nobody
    }
    EXPECT_GE(net_->bytes(rail), before + more) << "rail " << rail << " carries nothing";
  }
  void silence_both_ways(int rail) {
    for (const auto side : {TestNetwork::kA, TestNetwork::kB}) net_->lose(side, rail, 100);
  }
  Status move(TestNode& node, PeerHandle peer, Op op, ByteSpan local, SegmentHandle segment, Deadline deadline) {
    const TransferRequest request{.op = op, .local = local, .segment = segment, .offset = 0};
    return node->submit_and_wait(peer, std::span(&request, 1), deadline);
  }
  /// Batches go on while `breaks` happens, and none takes more than a second.
  void expect_nobody_notices(const std::function<void()>& breaks) {
    TestTraffic traffic(*a_, *b_, kBatchBytes);
    wait_for_both_rails();
    breaks();
    ASSERT_TRUE(eventually_lost()) << "no connection was given up";
    EXPECT_TRUE(traffic.goes_on(20)) << traffic.failure();
    traffic.stop();
    EXPECT_EQ(traffic.failure(), "");
    EXPECT_LE(traffic.longest(), Millis(1'000) * kSlowdown);
    std::printf("longest operation: %lld ms; slices begun again: %llu\n",
                static_cast<long long>(traffic.longest().count()),
                static_cast<unsigned long long>(total(*a_).slices_retried + total(*b_).slices_retried));
  }
  bool eventually_lost() {
    return eventually([&] { return total(*a_).connections_lost + total(*b_).connections_lost >= 1; });
  }

  std::vector<std::byte> here_ = noise(64u << 20, 1);
  std::vector<std::byte> there_ = noise(64u << 20, 2);
  std::unique_ptr<TestNetwork> net_;
  std::unique_ptr<TestNode> a_;
  std::unique_ptr<TestNode> b_;
};

/// Which rail; 0 carries the messages.
class DeadRail : public Network, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Rail, DeadRail, testing::Values(0, 1));

TEST_P(DeadRail, UnpluggedCableIsNotNoticedAndIsUsedAgainWhenItIsBack) {
  TestTraffic traffic(*a_, *b_, kBatchBytes);
  wait_for_both_rails();
  net_->unplug(GetParam());
  ASSERT_TRUE(eventually_lost());
  ASSERT_TRUE(traffic.goes_on(20)) << traffic.failure();
  net_->plug_in(GetParam());
  wait_for_bytes(GetParam(), 8 * kBatchBytes);
  EXPECT_TRUE(traffic.goes_on(20)) << traffic.failure();
  traffic.stop();
  EXPECT_EQ(traffic.failure(), "");
  EXPECT_LE(traffic.longest(), Millis(1'000) * kSlowdown);
}

TEST_P(DeadRail, RailThatLosesEverythingIsNotNoticed) {
  expect_nobody_notices([&] { silence_both_ways(GetParam()); });
}

TEST_P(DeadRail, RailThatLosesEverythingOneWayIsNotNoticed) {
  expect_nobody_notices([&] { net_->lose(TestNetwork::kB, GetParam(), 100); });
}

TEST_P(DeadRail, RailThatLosesEverythingTheOtherWayIsNotNoticed) {
  expect_nobody_notices([&] { net_->lose(TestNetwork::kA, GetParam(), 100); });
}

TEST_F(Network, PartitionFailsEverythingInTimeAndWhatComesAfterItIsNotMistakenForWhatWasBefore) {
  std::vector<Responder> held;  // on b's loop
  std::atomic<int> holding{0};
  (*b_)->serve(kHold, [&](PeerHandle, const std::string&, Responder responder) {
    held.push_back(std::move(responder));
    ++holding;
  });
  const SegmentHandle segment = *(*b_)->register_memory(there_, Access::kReadWrite);
  const PeerHandle old = a_->peer(*b_);
  Later<PeerHandle> lost;
  (*a_)->on_peer_lost(lost.setter());
  ASSERT_TRUE(move(*a_, old, Op::kWrite, here_, segment, soon()).ok());
  Later<Result<std::string>> before;
  (*a_)->call(old, kHold, "", in(Seconds(60)), before.setter());
  ASSERT_TRUE(eventually([&] { return holding == 1; }));

  for (const int rail : {0, 1}) silence_both_ways(rail);
  std::this_thread::sleep_for(3 * kPathCheck);  // so that nobody watches the paths when the batch comes
  const Instant cut = std::chrono::steady_clock::now();
  EXPECT_EQ(move(*a_, old, Op::kWrite, here_, segment, in(Seconds(60))).code(), Code::kPeerLost);
  EXPECT_LE(since(cut), kNoticed * kSlowdown);
  EXPECT_EQ(before.get().status().code(), Code::kPeerLost);
  EXPECT_EQ(lost.get(), old);

  net_->heal();
  const PeerHandle again = a_->peer(*b_);
  EXPECT_NE(again, old);
  EXPECT_EQ((*a_)->call_and_wait(old, kEcho, "", soon()).status().code(), Code::kPeerLost);
  Later<Result<std::string>> after;
  (*a_)->call(again, kHold, "", soon(), after.setter());
  ASSERT_TRUE(eventually([&] { return holding == 2; }));
  // Both calls have the same number, each in its session; the old one's answer goes nowhere.
  b_->loop().post([&] { held[0].reply(std::string("of the old session")); });
  EXPECT_EQ(*(*a_)->call_and_wait(again, kEcho, "after it", soon()), "after it");
  EXPECT_FALSE(after.ready());
  b_->loop().post([&] { held[1].reply(std::string("of the new one")); });
  EXPECT_EQ(*after.get(), "of the new one");
  ASSERT_TRUE(move(*a_, again, Op::kRead, here_, segment, soon()).ok());
  EXPECT_TRUE(here_ == there_);
}

TEST_F(Network, DeathOfAnIdlePeerIsNoticedByAskingIt) {
  const PeerHandle peer = a_->peer(*b_);
  EXPECT_EQ(*a_->ask(*b_, kEcho, "hello"), "hello");
  Later<PeerHandle> a_lost;
  Later<PeerHandle> b_lost;
  (*a_)->on_peer_lost(a_lost.setter());
  (*b_)->on_peer_lost(b_lost.setter());
  for (const int rail : {0, 1}) silence_both_ways(rail);
  EXPECT_EQ(a_lost.get(), peer);
  b_lost.get();
}

TEST_F(Network, DeathOfAPeerIsNoticedThoughAllThatIsLeftIsAnAnswerThatItDidNotGet) {
  std::vector<std::byte> target(4096);
  const SegmentHandle segment = *(*a_)->register_memory(target, Access::kWrite);
  static_cast<void>((*b_)->register_memory(there_, Access::kNone));
  const PeerHandle a = b_->peer(*a_);
  const PeerHandle b = a_->peer(*b_);
  EXPECT_EQ(*a_->ask(*b_, kEcho, "hello"), "hello");
  Later<PeerHandle> a_lost;
  (*a_)->on_peer_lost(a_lost.setter());
  std::this_thread::sleep_for(3 * kPathCheck);  // so that A watches no path when the batch comes
  for (const int rail : {0, 1}) net_->lose(TestNetwork::kB, rail, 100);
  const TransferRequest write{.op = Op::kWrite, .local = ByteSpan(there_).first(4096), .segment = segment, .offset = 0};
  Later<Status> moved;
  (*b_)->submit(a, std::span(&write, 1), in(Seconds(60)), std::nullopt, moved.setter());
  ASSERT_TRUE(eventually([&] { return total(*a_).bytes_received >= 4096; }));
  for (const int rail : {0, 1}) net_->lose(TestNetwork::kA, rail, 100);
  EXPECT_EQ(a_lost.get(), b);
  EXPECT_EQ(moved.get().code(), Code::kPeerLost);
}

class LossyRails : public Network, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Percent, LossyRails, testing::Values(2, 5));

TEST_P(LossyRails, NothingFailsAndEveryByteIsRight) {
  for (const auto side : {TestNetwork::kA, TestNetwork::kB}) {
    for (const int rail : {0, 1}) net_->lose(side, rail, GetParam());
  }
  TestTraffic traffic(*a_, *b_, kBatchBytes);
  EXPECT_TRUE(traffic.goes_on(5)) << traffic.failure();
  traffic.stop();
  EXPECT_EQ(traffic.failure(), "");
}

TEST_F(Network, SlowRailDoesNotSlowDownTheFastOne) {
  const std::size_t bytes = here_.size() / kSlowdown;
  const SegmentHandle segment = *(*b_)->register_memory(there_, Access::kReadWrite);
  const auto time_of = [&](int batches) {
    const Instant before = std::chrono::steady_clock::now();
    for (int i = 0; i < batches; ++i) {
      const Op op = i % 2 == 0 ? Op::kWrite : Op::kRead;
      const Status moved = move(*a_, a_->peer(*b_), op, ByteSpan(here_).first(bytes), segment, soon());
      EXPECT_TRUE(moved.ok()) << moved.to_string();
    }
    return since(before);
  };
  net_->unplug(1);
  time_of(2);  // connects, and touches the memory once
  const Millis alone = time_of(4);
  net_->slow_down(1, "100mbit");
  net_->plug_in(1);
  const Deadline end = soon();
  while (net_->bytes(1) < (1u << 20) && std::chrono::steady_clock::now() < end) time_of(1);
  EXPECT_GE(net_->bytes(1), 1u << 20) << "the slow rail was not tried";
  const Millis both = time_of(4);
  std::printf("%zu MiB: %lld ms over the fast rail alone, %lld ms with one of 100 Mbit/s beside it\n", bytes * 4 >> 20,
              static_cast<long long>(alone.count()), static_cast<long long>(both.count()));
  EXPECT_TRUE(kSanitized || both <= 2 * alone + Millis(100));  // times that are compared want the real product
}

TEST_F(Network, ConnectionsThatAreDelayedUnlikeOneAnotherLeaveMessagesInOrderAndBytesRight) {
  std::unique_ptr<TestProxy> proxy;
  net_->on(TestNetwork::kA, [&] { proxy = std::make_unique<TestProxy>(Millis(30)); });
  net_->run(
      TestNetwork::kA,
      fmt::format("nft add rule ip t nat_out meta mark != {} ip daddr 10.9.0.0/16 ip protocol tcp redirect to :{}",
                  TestProxy::kMark, proxy->port()));
  {
    TestTraffic traffic(*a_, *b_, kBatchBytes / 4);
    EXPECT_TRUE(traffic.goes_on(20)) << traffic.failure();
    traffic.stop();
    EXPECT_EQ(traffic.failure(), "");
    EXPECT_GE(proxy->connections(), 4);
    EXPECT_GE(traffic.longest(), Millis(5)) << "nothing was delayed";
  }
}

/// A peer that is exchanged for another on the same port, while nothing of the old one passes.
class ExchangedPeer : public Network {
 protected:
  static constexpr int kPort = 7001;

  void SetUp() override {
    Network::SetUp();
    if (IsSkipped()) return;
    b_ = net_->node(TestNetwork::kB, {.node_name = "old"}, kPort);
    segment_ = *(*b_)->register_memory(there_, Access::kReadWrite);
    old_ = a_->peer(*b_);
    ASSERT_TRUE(move(*a_, old_, Op::kWrite, ByteSpan(here_).first(4096), segment_, soon()).ok());
    name_ = (*b_)->name();
    ASSERT_TRUE(eventually([&] { return a_ports().size() == 4; }));
  }
  /// Of a's connections to b, on both rails.
  std::vector<int> a_ports() {
    std::vector<int> ports;
    for (const int rail : {0, 1}) {
      for (const int fd : sockets_to(fmt::format("{}:{}", TestNetwork::address(TestNetwork::kB, rail), kPort))) {
        const std::string own = format_endpoint(*local_endpoint(fd));
        ports.push_back(std::stoi(own.substr(own.rfind(':') + 1)));
      }
    }
    return ports;
  }
  void exchange() {
    net_->silence(a_ports());
    b_->destroy_engine();  // what it says goes nowhere
    b_ = net_->node(TestNetwork::kB, {.node_name = "new"}, kPort);
    b_->serve_echo(kEcho);
    std::ranges::fill(there_, std::byte{0xee});
    fresh_ = *(*b_)->register_memory(there_, Access::kReadWrite);
  }
  void expect_untouched() const {
    EXPECT_TRUE(std::ranges::all_of(there_, [](std::byte b) { return b == std::byte{0xee}; }));
  }

  std::string name_;
  SegmentHandle segment_;
  SegmentHandle fresh_;
  PeerHandle old_;
};

TEST_F(ExchangedPeer, IsAnotherOneThoughTheOldOneIsOnlySilent) {
  Later<Status> pending;
  exchange();
  const TransferRequest write{.op = Op::kWrite, .local = here_, .segment = segment_, .offset = 0};
  (*a_)->submit(old_, std::span(&write, 1), in(Seconds(60)), std::nullopt, pending.setter());
  // The new one comes first: it is known at once, though the old one has not been given up.
  EXPECT_EQ((*b_)->call_and_wait(b_->peer(*a_), kEcho, "", soon()).status().code(), Code::kUnsupported);
  const PeerHandle fresh = *(*a_)->connect(name_);
  EXPECT_NE(fresh, old_);
  EXPECT_EQ(*(*a_)->call_and_wait(fresh, kEcho, "new", soon()), "new");
  EXPECT_EQ(move(*a_, fresh, Op::kWrite, here_, segment_, soon()).code(), Code::kStale);
  EXPECT_FALSE(pending.ready());
  EXPECT_EQ(pending.get().code(), Code::kPeerLost);
  expect_untouched();
  EXPECT_TRUE(move(*a_, fresh, Op::kWrite, here_, fresh_, soon()).ok());
  EXPECT_TRUE(here_ == there_);
}

TEST_F(ExchangedPeer, IsNotTakenForTheOldOneWhenThePathsComeBack) {
  exchange();
  Later<Status> pending;
  const TransferRequest write{.op = Op::kWrite, .local = here_, .segment = segment_, .offset = 0};
  (*a_)->submit(old_, std::span(&write, 1), in(Seconds(60)), std::nullopt, pending.setter());
  net_->heal();  // now the new one's kernel gets what was meant for the old one
  EXPECT_EQ(pending.get().code(), Code::kPeerLost);
  const PeerHandle fresh = *(*a_)->connect(name_);
  EXPECT_NE(fresh, old_);
  EXPECT_EQ(move(*a_, fresh, Op::kWrite, here_, segment_, soon()).code(), Code::kStale);
  expect_untouched();
}

}  // namespace
}  // namespace mooncake::transfer
