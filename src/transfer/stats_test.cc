// What two engines count of what they do with one another, and what a trace hears of it.
#include <gmock/gmock.h>

#include <map>
#include <set>

#include "base/mutex.h"
#include "transfer/fake_peer.h"
#include "transfer/test_node.h"
#include "transfer/test_sockets.h"

namespace mooncake::transfer {
namespace {

using Op = TransferRequest::Op;
constexpr std::uint16_t kEcho = 900;
constexpr std::uint16_t kRefuse = 901;
constexpr std::uint16_t kNowhere = 902;
constexpr std::size_t kBytes = 16u << 20;
constexpr std::size_t kBlock = 64u << 10;

class Stats : public testing::Test {
 protected:
  Stats()
      : a_({.rails = {"127.0.0.1:0"}, .node_name = "a", .enable_shm = false}),
        b_({.rails = {"127.0.0.1:0"}, .node_name = "b", .enable_shm = false}) {
    b_.serve_echo(kEcho);
    b_->serve(kRefuse, [](PeerHandle, const std::string&, Responder responder) {
      responder.reply(Status(Code::kExhausted, "not now"));
    });
    static_cast<void>(*a_->register_memory(here_, Access::kNone));
    segment_ = *b_->register_memory(there_, Access::kReadWrite);
  }
  std::vector<TransferRequest> blocks(Op op, std::size_t count) {
    std::vector<TransferRequest> all;
    for (std::size_t i = 0; i < count; ++i) {
      all.push_back(
          {.op = op, .local = ByteSpan(here_).subspan(i * kBlock, kBlock), .segment = segment_, .offset = i * kBlock});
    }
    return all;
  }
  TransferRequest whole(Op op) { return {.op = op, .local = here_, .segment = segment_}; }
  Status move(std::span<const TransferRequest> requests) { return a_->submit_and_wait(a_.peer(b_), requests, soon()); }
  /// Of node's only row.
  static BatchStats batches(TestNode& node) {
    EXPECT_EQ(node->batch_stats().size(), 1u);
    return node->batch_stats().at(0);
  }
  static CallStats calls(TestNode& node) {
    EXPECT_EQ(node->call_stats().size(), 1u);
    return node->call_stats().at(0);
  }

  std::vector<std::byte> here_ = noise(kBytes, 1);
  std::vector<std::byte> there_ = noise(kBytes, 2);
  SegmentHandle segment_;
  TestNode a_;
  TestNode b_;
};

TEST_F(Stats, BothEndsOfEachRailAgreeAndEveryHistogramHoldsEveryOperation) {
  constexpr std::uint64_t kRounds = 20;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    ASSERT_TRUE(move(blocks(Op::kWrite, 30)).ok());
    ASSERT_TRUE(move(blocks(Op::kRead, 12)).ok());
  }
  EXPECT_TRUE(eventually([&] { return total(b_, "a").slices_served == kRounds * 42; }));
  std::uint64_t written = 0;
  for (const std::string rail : {"0", "1"}) {
    const TransferStats asked = total(a_, "b", "tcp", rail);
    const TransferStats served = total(b_, "a", "tcp", rail);
    EXPECT_EQ(asked.bytes_sent, asked.slices_written * kBlock);
    EXPECT_EQ(asked.bytes_received, asked.slices_read * kBlock);
    EXPECT_EQ(asked.bytes_sent, served.bytes_received);
    EXPECT_EQ(asked.bytes_received, served.bytes_sent);
    EXPECT_EQ(asked.slices_written + asked.slices_read, served.slices_served);
    EXPECT_EQ(asked.slice_latency.count(), asked.slices_written + asked.slices_read);
    EXPECT_EQ(served.slice_latency.count(), 0u) << "b asked for nothing";
    written += asked.slices_written;
  }
  EXPECT_EQ(written, kRounds * 30);
  EXPECT_EQ(total(a_).slices_failed, 0u);
  EXPECT_EQ(batches(a_).latency.count(), 2 * kRounds);
  EXPECT_EQ(batches(a_).batches_failed, 0u);
  EXPECT_GE(batches(a_).latency.sum, total(a_).slice_latency.sum / 64) << "a batch is no shorter than its slices";
  EXPECT_TRUE(b_->batch_stats().empty());
}

TEST_F(Stats, RefusedSlicesAndTheirBatchesCountAsFailedAndNotAsDone) {
  TransferRequest wrong = blocks(Op::kWrite, 1)[0];
  wrong.offset = kBytes;
  EXPECT_EQ(move(std::span(&wrong, 1)).code(), Code::kOutOfRange);
  wrong.op = Op::kRead;
  EXPECT_EQ(move(std::span(&wrong, 1)).code(), Code::kOutOfRange);
  EXPECT_EQ(total(a_, "b", "tcp").slices_failed, 2u);
  EXPECT_EQ(total(a_).slice_latency.count(), 0u);
  EXPECT_EQ(total(a_).bytes_sent + total(a_).bytes_received, 0u);
  EXPECT_EQ(batches(a_).batches_failed, 2u);
  EXPECT_EQ(batches(a_).latency.count(), 0u);
  EXPECT_EQ(total(b_).slices_served, 0u);
}

TEST_F(Stats, CallsAreCountedAtBothEndsAndFailuresApart) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(a_.ask(b_, kEcho, "hello").ok());
  EXPECT_EQ(a_.ask(b_, kRefuse, "").status().code(), Code::kExhausted);
  EXPECT_EQ(a_.ask(b_, kNowhere, "").status().code(), Code::kUnsupported);
  EXPECT_EQ(calls(a_).peer, "b");
  EXPECT_EQ(calls(a_).latency.count(), 10u);
  EXPECT_EQ(calls(a_).calls_failed, 2u);
  EXPECT_EQ(calls(a_).calls_received, 0u);
  EXPECT_EQ(calls(b_).peer, "a");
  EXPECT_EQ(calls(b_).calls_received, 12u);
  EXPECT_EQ(calls(b_).latency.count(), 0u);
}

TEST_F(Stats, NotifyIsPartOfItsBatchAndNoCall) {
  b_->serve(kNowhere, [](PeerHandle, const std::string&, const Responder&) {});
  Later<Status> done;
  a_->submit(a_.peer(b_), blocks(Op::kWrite, 1), soon(), Notify{kNowhere, "here"}, done.setter());
  ASSERT_TRUE(done.get().ok());
  EXPECT_EQ(batches(a_).latency.count(), 1u);
  EXPECT_TRUE(a_->call_stats().empty());
  EXPECT_TRUE(b_->call_stats().empty());
}

TEST_F(Stats, PeerThatNeverAnsweredIsCountedByWhereItShouldListen) {
  const FakePeer silent;
  EXPECT_FALSE(a_->call_and_wait(*a_->connect(silent.name()), kEcho, "", in(Millis(100))).ok());
  EXPECT_EQ(calls(a_).peer, silent.name());
  EXPECT_EQ(calls(a_).calls_failed, 1u);
}

TEST_F(Stats, RetriesShowOnTheRailThatLostItsConnections) {
  ASSERT_TRUE(a_.ask(b_, kEcho, "").ok());
  std::vector<std::string> second = listening();
  std::erase(second, a_->name());
  std::erase(second, b_->name());
  ASSERT_EQ(second.size(), 2u);
  const auto on_second = [&] {
    std::vector<int> found;
    for (const std::string& name : second) std::ranges::copy(sockets_to(name), std::back_inserter(found));
    return found;
  };
  ASSERT_TRUE(eventually([&] { return !on_second().empty(); }));
  // Many slices, so that some are under way on both rails when the first has arrived on this one.
  const std::vector<TransferRequest> all(16, whole(Op::kWrite));
  const auto on_rail = [&] { return total(a_, "b", "tcp", "1"); };
  const Deadline end = soon();
  while (on_rail().slices_retried == 0 && std::chrono::steady_clock::now() < end) {
    const std::uint64_t before = on_rail().bytes_sent;
    Later<Status> done;
    a_->submit(a_.peer(b_), all, soon(), std::nullopt, done.setter());
    ASSERT_TRUE(eventually([&] { return done.ready() || on_rail().bytes_sent > before; }));
    for (const int fd : on_second()) reset_socket(fd);
    EXPECT_TRUE(done.get().ok());
  }
  EXPECT_GT(total(a_, "b", "tcp", "1").slices_retried, 0u);
  EXPECT_GT(total(a_, "b", "tcp", "1").connections_lost, 0u);
  EXPECT_EQ(total(a_, "b", "tcp", "0").slices_retried, 0u);
  EXPECT_EQ(total(a_, "b", "tcp", "0").connections_lost, 0u);
  EXPECT_EQ(total(a_).slices_failed, 0u) << "what is begun again has not failed";
}

TEST(StatsOfOneEngine, MemCountsAsBothEnds) {
  TestNode node({.node_name = "node"});
  std::vector<std::byte> from = noise(kBlock, 1);
  std::vector<std::byte> to(kBlock);
  static_cast<void>(*node->register_memory(from, Access::kNone));
  const SegmentHandle segment = *node->register_memory(to, Access::kWrite);
  const TransferRequest request{.op = Op::kWrite, .local = from, .segment = segment};
  ASSERT_TRUE(node->submit_and_wait(node.peer(node), std::span(&request, 1), soon()).ok());
  const TransferStats sum = total(node, "node", "mem");
  EXPECT_EQ(sum.bytes_sent, kBlock);
  EXPECT_EQ(sum.bytes_received, kBlock);
  EXPECT_EQ(sum.slices_written, 1u);
  EXPECT_EQ(sum.slices_served, 1u);
  EXPECT_EQ(sum.slice_latency.count(), 1u);
}

/// Remembers what it hears.
class Heard : public TransferTrace {
 public:
  void on_event(const TraceEvent& event) override {
    const MutexLock lock(mutex_);
    EXPECT_GE(event.at, last_);
    last_ = event.at;
    const auto key = std::pair(event.peer, event.id);
    switch (event.kind) {
      case TraceEvent::Kind::kBatchBegin:
      case TraceEvent::Kind::kCallBegin:
      case TraceEvent::Kind::kSliceBegin:
        EXPECT_TRUE(open(event.kind).insert(key).second) << "began twice";
        break;
      case TraceEvent::Kind::kBatchEnd:
        EXPECT_EQ(open(TraceEvent::Kind::kBatchBegin).erase(key), 1u);
        break;
      case TraceEvent::Kind::kCallEnd:
        EXPECT_EQ(open(TraceEvent::Kind::kCallBegin).erase(key), 1u);
        break;
      case TraceEvent::Kind::kSliceEnd:
        EXPECT_EQ(open(TraceEvent::Kind::kSliceBegin).erase(key), 1u);
        if (event.code == Code::kOk) slice_bytes += event.bytes;
        EXPECT_TRUE(event.transport == "tcp" && (event.rail == "0" || event.rail == "1"));
        break;
      case TraceEvent::Kind::kPeerLost:
        break;
    }
    ++count[event.kind];
    names.emplace(event.peer_name);
    if (event.code != Code::kOk) ++failures;
  }
  [[nodiscard]] bool all_ended() {
    const MutexLock lock(mutex_);
    return std::ranges::all_of(open_, [](const auto& kind) { return kind.second.empty(); });
  }

  // To be read when it hears nothing more.
  std::map<TraceEvent::Kind, int> count;
  std::set<std::string> names;
  std::uint64_t slice_bytes = 0;
  int failures = 0;

 private:
  std::set<std::pair<std::uint64_t, std::uint64_t>>& open(TraceEvent::Kind begin) { return open_[begin]; }

  Mutex mutex_;
  std::map<TraceEvent::Kind, std::set<std::pair<std::uint64_t, std::uint64_t>>> open_;
  Instant last_{};
};

TEST_F(Stats, TraceHearsEachBeginningAndItsEndUntilItIsTakenAway) {
  Heard heard;
  ASSERT_TRUE(a_.ask(b_, kEcho, "before").ok());
  a_->set_trace(&heard);
  ASSERT_TRUE(move(blocks(Op::kWrite, 30)).ok());
  ASSERT_TRUE(move(blocks(Op::kRead, 12)).ok());
  ASSERT_TRUE(a_.ask(b_, kEcho, "hello").ok());
  a_->set_trace(nullptr);
  ASSERT_TRUE(a_.ask(b_, kEcho, "after").ok());
  EXPECT_EQ(heard.count[TraceEvent::Kind::kBatchBegin], 2);
  EXPECT_EQ(heard.count[TraceEvent::Kind::kBatchEnd], 2);
  EXPECT_EQ(heard.count[TraceEvent::Kind::kSliceEnd], 42);
  EXPECT_EQ(heard.count[TraceEvent::Kind::kCallEnd], 1);
  EXPECT_EQ(heard.slice_bytes, 42 * kBlock);
  EXPECT_EQ(heard.failures, 0);
  EXPECT_TRUE(heard.all_ended());
  EXPECT_EQ(heard.names, std::set<std::string>{"b"});
}

TEST_F(Stats, TraceHearsTheEndOfWhatIsLostWithThePeer) {
  Heard heard;
  a_->set_trace(&heard);
  b_->serve(kNowhere,
            [held = std::make_shared<std::vector<Responder>>()](PeerHandle, const std::string&, Responder responder) {
              held->push_back(std::move(responder));
            });
  Later<Status> batch;
  Later<Result<std::string>> answer;
  std::vector<TransferRequest> requests;
  // So many that most of them are still to come when the peer ends.
  for (std::size_t i = 0; i < kBatchRequestsMax; ++i) requests.push_back(whole(Op::kWrite));
  a_->call(a_.peer(b_), kNowhere, "", soon(), answer.setter());
  a_->submit(a_.peer(b_), requests, soon(), std::nullopt, batch.setter());
  EXPECT_TRUE(eventually([&] { return total(a_).slices_written > 0; }));
  b_.destroy_engine();
  EXPECT_EQ(batch.get().code(), Code::kPeerLost);
  EXPECT_EQ(answer.get().status().code(), Code::kPeerLost);
  a_->set_trace(nullptr);
  EXPECT_TRUE(heard.all_ended());
  EXPECT_EQ(heard.count[TraceEvent::Kind::kPeerLost], 1);
  EXPECT_GT(total(a_).slices_failed, 0u);
}

TEST_F(Stats, TraceHearsTheEndOfSlicesThatAreGivenUp) {
  Heard heard;
  a_->set_trace(&heard);
  for (int round = 0; round < 20; ++round) {
    Later<Status> done;
    const TransferRequest all = whole(round % 2 == 0 ? Op::kWrite : Op::kRead);
    const Batch batch = a_->submit(a_.peer(b_), std::span(&all, 1), soon(), std::nullopt, done.setter());
    a_->cancel(batch);
    static_cast<void>(done.get());
  }
  ASSERT_TRUE(move(blocks(Op::kRead, 1)).ok());
  EXPECT_TRUE(eventually([&] { return heard.all_ended(); })) << "the peer's last words of what was given up";
  a_->set_trace(nullptr);
  EXPECT_EQ(total(a_).slices_failed, 0u);
}

}  // namespace
}  // namespace mooncake::transfer
