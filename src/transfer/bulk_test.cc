// Reads and writes between segments, the same claims for every transport: content, checks, notifies, statistics.
#include <gmock/gmock.h>

#include <cstring>

#include "transfer/rdma/test_rdma.h"
#include "transfer/test_node.h"

namespace mooncake::transfer {
namespace {

constexpr std::uint16_t kNotified = 901;
using Op = TransferRequest::Op;

struct Path {
  const char* transport;  // that must show in the statistics
  bool same_engine;
  bool shm;
  bool pools;  // memory comes from allocate_shared()
  std::uint32_t connections = 2;
  const char* rdma = "";  // devices

  [[nodiscard]] TransferConfig config(const char* name) const {
    return {.node_name = name, .connections_per_peer = connections, .enable_shm = shm, .rdma_devices = rdma};
  }
};

class Bulk : public testing::TestWithParam<Path> {
 protected:
  Bulk() : a_(GetParam().config("a")) {
    if (!GetParam().same_engine) b_ = std::make_unique<TestNode>(GetParam().config("b"));
  }
  void SetUp() override {
    if (GetParam().rdma[0] != 0 && !has_rdma()) GTEST_SKIP() << kNoRdma;
  }

  TestNode& a() { return a_; }
  TestNode& b() { return b_ ? *b_ : a_; }
  PeerHandle peer() { return a().peer(b()); }

  /// Memory of `node` that lives as long as the test.
  ByteSpan memory(TestNode& node, std::size_t bytes) {
    if (GetParam().pools) return *node->allocate_shared(bytes);
    heap_.push_back(std::make_unique<std::byte[]>(bytes));
    return {heap_.back().get(), bytes};
  }
  // Whole ranges through libc: byte by byte, sanitized builds would spend minutes here.
  static void fill(ByteSpan memory, std::uint64_t seed) {
    std::memcpy(memory.data(), noise(memory.size(), seed).data(), memory.size());
  }
  static bool holds(ConstByteSpan memory, std::uint64_t seed) {
    return std::memcmp(noise(memory.size(), seed).data(), memory.data(), memory.size()) == 0;
  }
  static bool holds_only(ConstByteSpan memory, std::byte value) {
    return memory[0] == value && std::memcmp(memory.data(), memory.data() + 1, memory.size() - 1) == 0;
  }

  Status move(Op op, ByteSpan local, SegmentHandle segment, std::uint64_t offset) {
    const TransferRequest request{.op = op, .local = local, .segment = segment, .offset = offset};
    return a()->submit_and_wait(peer(), std::span(&request, 1), soon());
  }
  static TransferStats stats(TestNode& node, const std::string& peer) {
    return total(node, peer, GetParam().transport);
  }
  static std::uint64_t all_bytes(TestNode& node) {
    const TransferStats sum = total(node);
    return sum.bytes_sent + sum.bytes_received;
  }

 private:
  std::vector<std::unique_ptr<std::byte[]>> heap_;
  TestNode a_;
  std::unique_ptr<TestNode> b_;
};

INSTANTIATE_TEST_SUITE_P(Paths, Bulk,
                         testing::Values(Path{"mem", true, true, false}, Path{"tcp", false, false, false},
                                         Path{"tcp", false, false, true, 1}, Path{"tcp", false, false, false, 5},
                                         Path{"shm", false, true, true}, Path{"shm", false, true, false},
                                         Path{"rdma", false, false, true, 2, "auto"},
                                         Path{"rdma", false, false, false, 2, "auto"}),
                         [](const testing::TestParamInfo<Path>& path) {
                           return std::string(path.param.transport) + (path.param.pools ? "Pools" : "Heap") +
                                  std::to_string(path.param.connections);
                         });

TEST_P(Bulk, BytesArriveInBothDirectionsAndNothingElseChanges) {
  constexpr std::size_t kGuard = 64;
  std::uint64_t moved = 0;
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{4095}, std::size_t{65'536}, std::size_t{(1u << 20) + 7},
                                  std::size_t{(9u << 20) + 3}}) {
    const ByteSpan near = memory(a(), bytes);
    const ByteSpan far = memory(b(), bytes + 2 * kGuard);
    const SegmentHandle near_segment = *a()->register_memory(near, Access::kNone);
    const SegmentHandle far_segment = *b()->register_memory(far, Access::kReadWrite);
    fill(far, 1);
    fill(near, 2);
    ASSERT_TRUE(move(Op::kWrite, near, far_segment, kGuard).ok());
    EXPECT_TRUE(holds(far.subspan(kGuard, bytes), 2)) << bytes;
    const std::vector<std::byte> before = noise(far.size(), 1);
    EXPECT_TRUE(std::ranges::equal(far.first(kGuard), std::span(before).first(kGuard)));
    EXPECT_TRUE(std::ranges::equal(far.last(kGuard), std::span(before).last(kGuard)));

    fill(far.subspan(kGuard, bytes), 3);
    ASSERT_TRUE(move(Op::kRead, near, far_segment, kGuard).ok());
    EXPECT_TRUE(holds(near, 3)) << bytes;
    EXPECT_TRUE(a()->unregister_memory(near_segment, {}).ok());
    EXPECT_TRUE(b()->unregister_memory(far_segment, {}).ok());
    moved += bytes;
  }
  // The engine that moves bytes within itself is both ends, in one row.
  const std::uint64_t expected = GetParam().same_engine ? 2 * moved : moved;
  const std::string b_name = GetParam().same_engine ? "a" : "b";
  EXPECT_TRUE(eventually([&] { return stats(b(), "a").bytes_sent == expected; }));
  EXPECT_EQ(stats(b(), "a").bytes_received, expected);
  EXPECT_EQ(stats(a(), b_name).bytes_sent, expected);
  EXPECT_EQ(stats(a(), b_name).bytes_received, expected);
  EXPECT_EQ(all_bytes(a()), 2 * expected) << "some bytes took another transport";
}

TEST_P(Bulk, LargestBatchIsOneCallback) {
  constexpr std::size_t kEach = 1'000;
  const ByteSpan near = memory(a(), kBatchRequestsMax * kEach);
  const ByteSpan far = memory(b(), kBatchRequestsMax * kEach);
  static_cast<void>(*a()->register_memory(near, Access::kNone));
  const SegmentHandle segment = *b()->register_memory(far, Access::kWrite);
  fill(near, 7);
  std::vector<TransferRequest> requests;
  for (std::size_t i = 0; i < kBatchRequestsMax; ++i) {
    requests.push_back(
        {.op = Op::kWrite, .local = near.subspan(i * kEach, kEach), .segment = segment, .offset = i * kEach});
  }
  EXPECT_TRUE(a()->submit_and_wait(peer(), requests, soon()).ok());
  EXPECT_TRUE(holds(far, 7));
  requests.push_back(requests.front());
  EXPECT_EQ(a()->submit_and_wait(peer(), requests, soon()).code(), Code::kInvalidArgument);
}

TEST_P(Bulk, RangesOutsideTheSegmentAreRefusedAndTouchNoByte) {
  const ByteSpan near = memory(a(), 4096);
  const ByteSpan far = memory(b(), 8192);
  static_cast<void>(*a()->register_memory(near, Access::kNone));
  const SegmentHandle segment = *b()->register_memory(far.first(4096), Access::kReadWrite);
  fill(far, 1);
  fill(near, 2);
  for (const std::uint64_t offset : {std::uint64_t{1}, std::uint64_t{4096}, std::uint64_t{4095}, std::uint64_t{1} << 40,
                                     ~std::uint64_t{0}, ~std::uint64_t{0} - 4095, ~std::uint64_t{0} - 4096}) {
    EXPECT_EQ(move(Op::kWrite, near, segment, offset).code(), Code::kOutOfRange) << offset;
    EXPECT_EQ(move(Op::kRead, near, segment, offset).code(), Code::kOutOfRange) << offset;
  }
  EXPECT_TRUE(holds(far, 1));
  EXPECT_TRUE(holds(near, 2));
}

TEST_P(Bulk, RightThatWasNotGrantedIsRefused) {
  const ByteSpan near = memory(a(), 4096);
  const ByteSpan far = memory(b(), 4096);
  static_cast<void>(*a()->register_memory(near, Access::kNone));
  fill(far, 1);
  const SegmentHandle readable = *b()->register_memory(far, Access::kRead);
  const SegmentHandle writable = *b()->register_memory(far, Access::kWrite);
  const SegmentHandle neither = *b()->register_memory(far, Access::kNone);
  EXPECT_EQ(move(Op::kWrite, near, readable, 0).code(), Code::kPermissionDenied);
  EXPECT_EQ(move(Op::kRead, near, writable, 0).code(), Code::kPermissionDenied);
  EXPECT_EQ(move(Op::kWrite, near, neither, 0).code(), Code::kPermissionDenied);
  EXPECT_TRUE(holds(far, 1));
}

TEST_P(Bulk, OldGenerationIsStaleEvenWhenTheSlotIsUsedAgain) {
  const ByteSpan near = memory(a(), 4096);
  const ByteSpan far = memory(b(), 4096);
  static_cast<void>(*a()->register_memory(near, Access::kNone));
  fill(far, 1);
  const SegmentHandle old = *b()->register_memory(far, Access::kReadWrite);
  Later<bool> gone;
  ASSERT_TRUE(b()->unregister_memory(old, [set = gone.setter()] { set(true); }).ok());
  EXPECT_TRUE(gone.get());
  const SegmentHandle now = *b()->register_memory(far, Access::kReadWrite);
  EXPECT_EQ(now.index, old.index);
  EXPECT_EQ(move(Op::kWrite, near, old, 0).code(), Code::kStale);
  EXPECT_EQ(move(Op::kRead, near, old, 0).code(), Code::kStale);
  EXPECT_EQ(move(Op::kRead, near, SegmentHandle{}, 0).code(), Code::kStale);
  EXPECT_EQ(move(Op::kRead, near, SegmentHandle{99'999, now.generation}, 0).code(), Code::kStale);
  EXPECT_TRUE(holds(far, 1));
  EXPECT_EQ(b()->unregister_memory(old, {}).code(), Code::kStale);
}

TEST_P(Bulk, LocalMemoryMustBeRegistered) {
  const ByteSpan near = memory(a(), 4096);
  const SegmentHandle segment = *b()->register_memory(memory(b(), 4096), Access::kReadWrite);
  EXPECT_EQ(move(Op::kWrite, near, segment, 0).code(), Code::kInvalidArgument);
  static_cast<void>(*a()->register_memory(near.first(2048), Access::kNone));
  EXPECT_EQ(move(Op::kWrite, near, segment, 0).code(), Code::kInvalidArgument);
  EXPECT_EQ(move(Op::kWrite, near.first(0), segment, 0).code(), Code::kInvalidArgument);
  EXPECT_TRUE(move(Op::kWrite, near.first(2048), segment, 0).ok());
}

TEST_P(Bulk, OneBadRequestFailsItsBatchWithItsError) {
  const ByteSpan near = memory(a(), 3 << 20);
  static_cast<void>(*a()->register_memory(near, Access::kNone));
  const SegmentHandle segment = *b()->register_memory(memory(b(), 3 << 20), Access::kReadWrite);
  const std::vector<TransferRequest> requests = {
      {.op = Op::kWrite, .local = near.first(1 << 20), .segment = segment, .offset = 0},
      {.op = Op::kWrite, .local = near.first(1 << 20), .segment = segment, .offset = 3 << 20},
      {.op = Op::kWrite, .local = near.first(1 << 20), .segment = segment, .offset = 1 << 20}};
  EXPECT_EQ(a()->submit_and_wait(peer(), requests, soon()).code(), Code::kOutOfRange);
  EXPECT_TRUE(move(Op::kWrite, near, segment, 0).ok());
}

TEST_P(Bulk, NotifyComesAfterTheLastByte) {
  const ByteSpan near = memory(a(), 5 << 20);
  const ByteSpan far = memory(b(), 5 << 20);
  static_cast<void>(*a()->register_memory(near, Access::kNone));
  const SegmentHandle segment = *b()->register_memory(far, Access::kWrite);
  fill(near, 4);
  Later<std::string> seen;
  b()->serve(kNotified, [&, set = seen.setter()](PeerHandle, std::string payload, Responder) {
    set(holds(far, 4) ? payload : "too early");
  });
  const TransferRequest request{.op = Op::kWrite, .local = near, .segment = segment, .offset = 0};
  Later<Status> done;
  a()->submit(peer(), std::span(&request, 1), soon(), Notify{kNotified, "landed"}, done.setter());
  EXPECT_TRUE(done.get().ok());
  EXPECT_EQ(seen.get(), "landed");
}

TEST_P(Bulk, NotifyErrorsAreReported) {
  const ByteSpan near = memory(a(), 4096);
  static_cast<void>(*a()->register_memory(near, Access::kNone));
  const SegmentHandle segment = *b()->register_memory(memory(b(), 4096), Access::kReadWrite);
  TransferRequest request{.op = Op::kWrite, .local = near, .segment = segment, .offset = 0};
  Later<Status> nobody;
  a()->submit(peer(), std::span(&request, 1), soon(), Notify{77, ""}, nobody.setter());
  EXPECT_EQ(nobody.get().code(), Code::kUnsupported);
  request.op = Op::kRead;
  Later<Status> read;
  a()->submit(peer(), std::span(&request, 1), soon(), Notify{77, ""}, read.setter());
  EXPECT_EQ(read.get().code(), Code::kInvalidArgument);
}

TEST_P(Bulk, EmptyBatchIsDoneAtOnce) { EXPECT_TRUE(a()->submit_and_wait(peer(), {}, soon()).ok()); }

TEST_P(Bulk, DeadlineThatHasPassedMovesNothing) {
  const ByteSpan near = memory(a(), 4096);
  static_cast<void>(*a()->register_memory(near, Access::kNone));
  const SegmentHandle segment = *b()->register_memory(memory(b(), 4096), Access::kReadWrite);
  const TransferRequest request{.op = Op::kWrite, .local = near, .segment = segment, .offset = 0};
  EXPECT_EQ(a()->submit_and_wait(peer(), std::span(&request, 1), Instant{}).code(), Code::kDeadlineExceeded);
  EXPECT_EQ(all_bytes(b()), 0u);
}

TEST_P(Bulk, CancelledBatchesCallBackOnceAndLetTheNextOnesThrough) {
  const ByteSpan near = memory(a(), 12 << 20);
  const ByteSpan far = memory(b(), 12 << 20);
  static_cast<void>(*a()->register_memory(near, Access::kNone));
  const SegmentHandle segment = *b()->register_memory(far, Access::kReadWrite);
  fill(near, 1);
  for (int round = 0; round < 16; ++round) {
    const Op op = round % 2 == 0 ? Op::kWrite : Op::kRead;
    const TransferRequest request{.op = op, .local = near, .segment = segment, .offset = 0};
    std::atomic<int> calls{0};
    Later<Status> done;
    const Batch batch =
        a()->submit(peer(), std::span(&request, 1), soon(), std::nullopt, [&, set = done.setter()](Status status) {
          ++calls;
          set(std::move(status));
        });
    for (int spin = 0; spin < round * 20; ++spin) std::this_thread::yield();  // another moment each round
    a()->cancel(batch);
    const Status status = done.get();
    EXPECT_TRUE(status.ok() || status.code() == Code::kCancelled) << status.to_string();
    a().drain();
    EXPECT_EQ(calls.load(), 1);
  }
  fill(near, 9);
  ASSERT_TRUE(move(Op::kWrite, near, segment, 0).ok());
  EXPECT_TRUE(holds(far, 9));
}

TEST_P(Bulk, UnregisteringUnderTrafficNeverLetsLateBytesThrough) {
  const ByteSpan near = memory(a(), 8 << 20);
  const ByteSpan far = memory(b(), 8 << 20);
  static_cast<void>(*a()->register_memory(near, Access::kNone));
  fill(near, 1);
  for (int round = 0; round < 12; ++round) {
    const SegmentHandle segment = *b()->register_memory(far, Access::kReadWrite);
    const TransferRequest request{
        .op = round % 2 == 0 ? Op::kWrite : Op::kRead, .local = near, .segment = segment, .offset = 0};
    Later<Status> done;
    a()->submit(peer(), std::span(&request, 1), soon(), std::nullopt, done.setter());
    for (int spin = 0; spin < round * 20; ++spin) std::this_thread::yield();
    Later<bool> gone;
    ASSERT_TRUE(b()->unregister_memory(segment, [set = gone.setter()] { set(true); }).ok());
    EXPECT_TRUE(gone.get());
    std::memset(far.data(), 0xee, far.size());  // it is ours again: a late write would show, a late read race
    const Status status = done.get();
    EXPECT_TRUE(status.ok() || status.code() == Code::kStale) << status.to_string();
    EXPECT_TRUE(holds_only(far, std::byte{0xee}));
  }
}

TEST_P(Bulk, ManyBatchesAtOnceAllArrive) {
  constexpr std::size_t kBatches = 200;
  constexpr std::size_t kEach = 64 << 10;
  const ByteSpan near = memory(a(), kBatches * kEach);
  const ByteSpan far = memory(b(), kBatches * kEach);
  static_cast<void>(*a()->register_memory(near, Access::kNone));
  const SegmentHandle segment = *b()->register_memory(far, Access::kWrite);
  fill(near, 5);
  std::vector<Later<Status>> done(kBatches);
  for (std::size_t i = 0; i < kBatches; ++i) {
    const TransferRequest request{
        .op = Op::kWrite, .local = near.subspan(i * kEach, kEach), .segment = segment, .offset = i * kEach};
    a()->submit(peer(), std::span(&request, 1), soon(), std::nullopt, done[i].setter());
  }
  for (auto& each : done) EXPECT_TRUE(each.get().ok());
  EXPECT_TRUE(holds(far, 5));
}

TEST_P(Bulk, HandlerMayReadFromTheCallersSegment) {
  constexpr std::uint16_t kTake = 902;
  const ByteSpan near = memory(a(), 1 << 20);
  const ByteSpan far = memory(b(), 1 << 20);
  const SegmentHandle offered = *a()->register_memory(near, Access::kRead);
  static_cast<void>(*b()->register_memory(far, Access::kNone));
  fill(near, 6);
  b()->serve(kTake, [&](PeerHandle from, std::string, Responder responder) {
    const TransferRequest request{.op = Op::kRead, .local = far, .segment = offered, .offset = 0};
    b()->submit(
        from, std::span(&request, 1), soon(), std::nullopt, [responder = std::move(responder)](Status status) mutable {
          responder.reply(status.ok() ? Result<std::string>(std::string("taken")) : Result<std::string>(status));
        });
  });
  EXPECT_EQ(*a().ask(b(), kTake, ""), "taken");
  EXPECT_TRUE(holds(far, 6));
}

}  // namespace
}  // namespace mooncake::transfer
