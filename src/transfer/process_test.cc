// Engines in different processes: shm by mapped pools and by process_vm_readv, rdma, and peers that stop or are killed.
//
// Each test forks before it starts a thread of its own; the child is an engine that describes, fills and checks two
// areas of its memory, one in a shared pool and one on its heap.
#include <gmock/gmock.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "transfer/rdma/test_rdma.h"
#include "transfer/test_child.h"
#include "transfer/test_node.h"
#include "transfer/test_slowdown.h"

namespace mooncake::transfer {
namespace {

constexpr std::uint16_t kDescribe = 910;  // -> "INDEX GENERATION" of the area
constexpr std::uint16_t kFill = 911;      // area, seed
constexpr std::uint16_t kCrc = 912;       // area -> crc32c of it, in decimal
constexpr std::uint16_t kHold = 913;      // never answered
constexpr std::uint16_t kBytes = 914;     // transport -> bytes sent plus bytes received by it
constexpr std::size_t kAreaBytes = 6u << 20;
using Op = TransferRequest::Op;

/// What the child does until it is killed.
void child_main(TransferConfig config, const std::function<void(const std::string&)>& say) {
  TestNode node(std::move(config));
  std::vector<std::byte> heap(kAreaBytes);
  const std::array<ByteSpan, 2> areas = {*node->allocate_shared(kAreaBytes), ByteSpan(heap)};
  std::array<SegmentHandle, 2> segments;
  for (int i = 0; i < 2; ++i) segments[i] = *node->register_memory(areas[i], Access::kReadWrite);
  std::vector<Responder> held;
  const auto area = [](const std::string& payload) { return payload.at(0) == 'h' ? 1 : 0; };
  node->serve(kDescribe, [&](PeerHandle, std::string payload, Responder responder) {
    const SegmentHandle segment = segments[area(payload)];
    responder.reply(std::to_string(segment.index) + " " + std::to_string(segment.generation));
  });
  node->serve(kFill, [&](PeerHandle, std::string payload, Responder responder) {
    std::ranges::copy(noise(kAreaBytes, std::stoull(payload.substr(1))), areas[area(payload)].begin());
    responder.reply(std::string());
  });
  node->serve(kCrc, [&](PeerHandle, std::string payload, Responder responder) {
    responder.reply(std::to_string(crc32c(areas[area(payload)])));
  });
  node->serve(kHold, [&](PeerHandle, std::string, Responder responder) { held.push_back(std::move(responder)); });
  node->serve(kBytes, [&](PeerHandle, std::string payload, Responder responder) {
    std::uint64_t sum = 0;
    for (const TransferStats& row : node->stats()) {
      if (row.transport == payload) sum += row.bytes_sent + row.bytes_received;
    }
    responder.reply(std::to_string(sum));
  });
  say(node->name());
  for (;;) ::pause();
}

struct Path {
  bool pool;
  bool rdma;

  [[nodiscard]] TransferConfig config(const char* name) const {
    return {.node_name = name, .enable_shm = !rdma, .rdma_devices = rdma ? "auto" : ""};
  }
};

class Processes : public testing::TestWithParam<Path> {
 protected:
  /// Members in this order: the child forks before this process has threads.
  Processes() : node_(std::make_unique<TestNode>(GetParam().config("parent"))) {}
  void SetUp() override {
    if (GetParam().rdma && !has_rdma()) GTEST_SKIP() << kNoRdma;
  }

  std::string ask(std::uint16_t method, const std::string& payload) {
    return *(*node_)->call_and_wait(peer(), method, payload, soon());
  }
  PeerHandle peer() { return *(*node_)->connect(child_.said()); }
  SegmentHandle segment(const std::string& area) {
    const std::string text = ask(kDescribe, area);
    const std::size_t space = text.find(' ');
    return {static_cast<std::uint32_t>(std::stoul(text)), std::stoull(text.substr(space + 1))};
  }
  ByteSpan local(bool pool) {
    if (pool) return *(*node_)->allocate_shared(kAreaBytes);
    heap_.resize(kAreaBytes);
    return heap_;
  }
  std::uint64_t bytes(const std::string& transport) {
    std::uint64_t sum = 0;
    for (const TransferStats& row : (*node_)->stats()) {
      if (row.transport == transport && row.peer == "child") sum += row.bytes_sent + row.bytes_received;
    }
    return sum;
  }

  TestChild child_{[config = GetParam().config("child")](const auto& say) { child_main(config, say); }};
  std::vector<std::byte> heap_;
  std::unique_ptr<TestNode> node_;
};

INSTANTIATE_TEST_SUITE_P(Memory, Processes,
                         testing::Values(Path{false, false}, Path{true, false}, Path{false, true}, Path{true, true}),
                         [](const testing::TestParamInfo<Path>& path) {
                           return std::string(path.param.pool ? "Pool" : "Heap") + (path.param.rdma ? "Rdma" : "");
                         });

TEST_P(Processes, TheRightBytesMoveBothWaysAndBothSidesCountThem) {
  TestNode& node = *node_;
  const std::string area = GetParam().pool ? "p" : "h";
  const std::string transport = GetParam().rdma ? "rdma" : "shm";
  const ByteSpan memory = local(GetParam().pool);
  static_cast<void>(*node->register_memory(memory, Access::kNone));
  const SegmentHandle remote = segment(area);

  std::ranges::copy(noise(kAreaBytes, 5), memory.begin());
  const TransferRequest write{.op = Op::kWrite, .local = memory, .segment = remote, .offset = 0};
  ASSERT_TRUE(node->submit_and_wait(peer(), std::span(&write, 1), soon()).ok());
  EXPECT_EQ(ask(kCrc, area), std::to_string(crc32c(noise(kAreaBytes, 5))));

  ask(kFill, area + "6");
  const TransferRequest read{.op = Op::kRead, .local = memory, .segment = remote, .offset = 0};
  ASSERT_TRUE(node->submit_and_wait(peer(), std::span(&read, 1), soon()).ok());
  EXPECT_TRUE(std::ranges::equal(memory, noise(kAreaBytes, 6)));

  EXPECT_EQ(bytes(transport), 2 * kAreaBytes);
  EXPECT_EQ(bytes("tcp"), 0u);
  EXPECT_TRUE(eventually([&] { return ask(kBytes, transport) == std::to_string(2 * kAreaBytes); }));
}

TEST_P(Processes, KilledPeerFailsItsCallsAndBatchesPromptly) {
  TestNode& node = *node_;
  const ByteSpan memory = local(GetParam().pool);
  static_cast<void>(*node->register_memory(memory, Access::kNone));
  const SegmentHandle remote = segment("p");
  Later<PeerHandle> lost;
  node->on_peer_lost(lost.setter());
  const PeerHandle child = peer();
  Later<Result<std::string>> held;
  node->call(child, kHold, "", soon(), held.setter());
  constexpr std::size_t kBatches = 60;
  std::vector<Later<Status>> done(kBatches);
  const TransferRequest write{.op = Op::kWrite, .local = memory, .segment = remote, .offset = 0};
  for (std::size_t i = 0; i < kBatches; ++i) {
    node->submit(child, std::span(&write, 1), soon(), std::nullopt, done[i].setter());
  }
  EXPECT_TRUE(done[0].get().ok());
  const Instant before = std::chrono::steady_clock::now();
  child_.kill();
  EXPECT_EQ(held.get().status().code(), Code::kPeerLost);
  for (std::size_t i = 1; i < kBatches; ++i) {
    const Status status = done[i].get();
    EXPECT_TRUE(status.ok() || status.code() == Code::kPeerLost) << status.to_string();
  }
  EXPECT_EQ(lost.get(), child);
  EXPECT_LT(std::chrono::steady_clock::now() - before, Seconds(2) * kSlowdown);
  EXPECT_EQ(node->call_and_wait(peer(), kCrc, "p", soon()).status().code(), Code::kUnavailable);
}

TEST_P(Processes, StoppedPeerKeepsAWriteQuarantinedAsLongAsItMayReadIt) {
  TestNode& node = *node_;
  const ByteSpan memory = local(GetParam().pool);
  const SegmentHandle near = *node->register_memory(memory, Access::kNone);
  const SegmentHandle remote = segment("p");
  const PeerHandle child = peer();
  const TransferRequest write{.op = Op::kWrite, .local = memory, .segment = remote, .offset = 0};
  // The path is open once a write has gone over it; and the deadline is late enough for the next one to be on its way
  // on a busy machine. A write that never was would end without quarantine.
  ASSERT_TRUE(node->submit_and_wait(child, std::span(&write, 1), soon()).ok());
  child_.stop();
  Later<Status> done;
  Later<bool> gone;
  node->submit(child, std::span(&write, 1), in(Millis(500)), std::nullopt, done.setter());
  ASSERT_TRUE(node->unregister_memory(near, [set = gone.setter()] { set(true); }).ok());
  // A call with a later deadline ends, so the batch's has passed too.
  EXPECT_EQ(node->call_and_wait(child, kCrc, "p", in(Millis(600))).status().code(), Code::kDeadlineExceeded);
  if (!GetParam().rdma) {
    EXPECT_FALSE(done.ready());  // the peer could still read the memory
    EXPECT_FALSE(gone.ready());
    child_.kill();
  }  // else only this side could, and had no grant yet
  EXPECT_EQ(done.get().code(), Code::kDeadlineExceeded);
  EXPECT_TRUE(gone.get());
}

TEST_P(Processes, EngineThatTakesThePortOfAKilledProcessIsAnotherPeer) {
  TestNode& node = *node_;
  const ByteSpan memory = local(GetParam().pool);
  static_cast<void>(*node->register_memory(memory, Access::kNone));
  const SegmentHandle old = segment("p");
  const PeerHandle first = peer();
  Later<PeerHandle> lost;
  node->on_peer_lost(lost.setter());
  child_.kill();
  EXPECT_EQ(lost.get(), first);
  TestNode again({.listen = child_.said(), .node_name = "again"});
  static_cast<void>(*again->register_memory(*again->allocate_shared(kAreaBytes), Access::kReadWrite));
  const PeerHandle second = peer();
  EXPECT_NE(second, first);
  // The old process's segment means nothing to the new one, though it has one at the same place of its table.
  const TransferRequest write{.op = Op::kWrite, .local = memory, .segment = old, .offset = 0};
  EXPECT_EQ(node->submit_and_wait(second, std::span(&write, 1), soon()).code(), Code::kStale);
  EXPECT_EQ(node->submit_and_wait(first, std::span(&write, 1), soon()).code(), Code::kPeerLost);
}

}  // namespace
}  // namespace mooncake::transfer
