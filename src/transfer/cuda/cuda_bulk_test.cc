// Bytes of device memory over every local transport: in both directions, at one end or both, while copies are held
// back, fail, or lose their segment or peer. The double makes any touch of device memory by the host a crash.
#include <gmock/gmock.h>
#include <unistd.h>

#include "transfer/cuda/cuda_host.h"
#include "transfer/cuda/test_cuda.h"
#include "transfer/fake_peer.h"
#include "transfer/test_node.h"

namespace mooncake::transfer {
namespace {

using Op = TransferRequest::Op;
using testing::HasSubstr;

constexpr std::size_t kBytes = 9 << 20;  // several slices, and more than one peer's share of the ring at small ones

struct Path {
  const char* transport;
  bool same_engine;
  bool shm;
  bool near_device;
  bool far_device;
  bool pools = false;  // host memory comes from allocate_shared()
};

/// An end of a transfer: memory of a device or of the host.
class End {
 public:
  End(TestNode& node, bool device, bool pool, std::size_t bytes, std::uint64_t seed) : bytes_(bytes) {
    if (device) {
      gpu_ = std::make_unique<GpuMemory>(bytes);
    } else if (pool) {
      host_ = *node->allocate_shared(bytes);
    } else {
      heap_.resize(bytes);
      host_ = heap_;
    }
    put(noise(bytes, seed));
  }
  [[nodiscard]] ByteSpan span() const { return gpu_ ? gpu_->span() : host_; }
  [[nodiscard]] MemoryKind kind() const { return gpu_ ? MemoryKind::kCuda : MemoryKind::kHost; }
  void put(const std::vector<std::byte>& bytes) {
    if (gpu_) return gpu_->put(bytes);
    std::memcpy(host_.data(), bytes.data(), bytes.size());
  }
  [[nodiscard]] std::vector<std::byte> get() const {
    return gpu_ ? gpu_->get() : std::vector<std::byte>(host_.begin(), host_.end());
  }
  [[nodiscard]] bool holds(std::uint64_t seed) const { return get() == noise(bytes_, seed); }

 private:
  std::size_t bytes_;
  std::unique_ptr<GpuMemory> gpu_;
  std::vector<std::byte> heap_;
  ByteSpan host_;
};

class CudaBulk : public testing::TestWithParam<Path> {
 protected:
  CudaBulk() : a_({.node_name = "a", .enable_shm = GetParam().shm}) {
    if (!GetParam().same_engine)
      b_ = std::make_unique<TestNode>(TransferConfig{.node_name = "b", .enable_shm = GetParam().shm});
  }
  void SetUp() override {
    if (!has_cuda()) GTEST_SKIP() << kNoCuda;
    near_ = std::make_unique<End>(a(), GetParam().near_device, GetParam().pools, kBytes, 1);
    far_ = std::make_unique<End>(b(), GetParam().far_device, GetParam().pools, kBytes, 2);
    near_segment_ = *a()->register_memory(near_->span(), near_->kind(), Access::kNone);
    segment_ = *b()->register_memory(far_->span(), far_->kind(), Access::kReadWrite);
  }
  void TearDown() override {
    if (SimulatedCuda::here()) SimulatedCuda::hold(false);
  }

  TestNode& a() { return a_; }
  TestNode& b() { return b_ ? *b_ : a_; }
  TransferRequest all(Op op) { return {.op = op, .local = near_->span(), .segment = segment_, .offset = 0}; }
  Status move(const TransferRequest& request) {
    return a()->submit_and_wait(a().peer(b()), std::span(&request, 1), soon());
  }
  Later<bool> unregister(TestNode& node, SegmentHandle segment) {
    Later<bool> gone;
    EXPECT_TRUE(node->unregister_memory(segment, [set = gone.setter()] { set(true); }).ok());
    return gone;
  }
  static std::uint64_t received(TestNode& node, const char* transport) {
    for (const TransferStats& row : node->stats()) {
      if (row.transport == transport) return row.bytes_received;
    }
    return 0;
  }

  std::unique_ptr<End> near_;  // these outlive the engines, whose devices may be at them to their end
  std::unique_ptr<End> far_;
  TestNode a_;
  std::unique_ptr<TestNode> b_;
  SegmentHandle near_segment_;
  SegmentHandle segment_;
};

INSTANTIATE_TEST_SUITE_P(Paths, CudaBulk,
                         testing::Values(Path{"cuda", true, true, true, true}, Path{"cuda", true, true, true, false},
                                         Path{"cuda", true, true, false, true},
                                         Path{"cuda", true, true, true, false, true},
                                         Path{"cuda", true, true, false, true, true},
                                         Path{"tcp", false, false, true, true}, Path{"tcp", false, false, true, false},
                                         Path{"tcp", false, false, false, true}, Path{"shm", false, true, true, true},
                                         Path{"shm", false, true, true, false}, Path{"shm", false, true, false, true},
                                         Path{"shm", false, true, false, true, true}),
                         [](const testing::TestParamInfo<Path>& path) {
                           return std::string(path.param.transport) + (path.param.near_device ? "Gpu" : "Host") + "To" +
                                  (path.param.far_device ? "Gpu" : "Host") + (path.param.pools ? "Pools" : "");
                         });

TEST_P(CudaBulk, MovesTheRightBytesBothWays) {
  ASSERT_TRUE(move(all(Op::kWrite)).ok());
  EXPECT_TRUE(far_->holds(1));
  far_->put(noise(kBytes, 3));
  ASSERT_TRUE(move(all(Op::kRead)).ok());
  EXPECT_TRUE(near_->holds(3));
  EXPECT_TRUE(eventually([&] { return received(b(), GetParam().transport) >= kBytes; }));
}

TEST_P(CudaBulk, PartsLandWhereTheyBelongAndNowhereElse) {
  std::vector<std::byte> expected = noise(kBytes, 2);
  const std::vector<std::byte> source = noise(kBytes, 1);
  std::vector<TransferRequest> requests;
  for (const std::size_t at : {std::size_t{1}, std::size_t{70'001}, std::size_t{5 << 20}}) {
    const std::size_t bytes = at == 1 ? 1 : 65'537;
    requests.push_back(
        {.op = Op::kWrite, .local = near_->span().subspan(at + 3, bytes), .segment = segment_, .offset = at});
    std::memcpy(expected.data() + at, source.data() + at + 3, bytes);
  }
  ASSERT_TRUE(a()->submit_and_wait(a().peer(b()), requests, soon()).ok());
  EXPECT_TRUE(far_->get() == expected);
}

TEST_P(CudaBulk, RangesAndRightsAreCheckedBeforeAnythingMoves) {
  for (const Op op : {Op::kWrite, Op::kRead}) {
    for (const std::uint64_t offset : {kBytes - 4095, kBytes, std::size_t{1} << 40}) {
      TransferRequest outside = all(op);
      outside.local = outside.local.first(4096);
      outside.offset = offset;
      EXPECT_EQ(move(outside).code(), Code::kOutOfRange);
    }
  }
  const SegmentHandle readable = *b()->register_memory(far_->span(), far_->kind(), Access::kRead);
  TransferRequest forbidden = all(Op::kWrite);
  forbidden.segment = readable;
  EXPECT_EQ(move(forbidden).code(), Code::kPermissionDenied);
  EXPECT_TRUE(far_->holds(2));
  EXPECT_TRUE(near_->holds(1));
}

TEST_P(CudaBulk, ManyBatchesShareTheRingAndAllArrive) {
  constexpr std::size_t kBatches = 90;
  constexpr std::size_t kEach = kBytes / kBatches;
  std::vector<Later<Status>> done(kBatches);
  for (std::size_t i = 0; i < kBatches; ++i) {
    const TransferRequest request{
        .op = Op::kWrite, .local = near_->span().subspan(i * kEach, kEach), .segment = segment_, .offset = i * kEach};
    a()->submit(a().peer(b()), std::span(&request, 1), soon(), std::nullopt, done[i].setter());
  }
  for (auto& each : done) EXPECT_TRUE(each.get().ok());
  std::vector<std::byte> expected = noise(kBytes, 2);
  std::memcpy(expected.data(), noise(kBytes, 1).data(), kBatches * kEach);
  EXPECT_TRUE(far_->get() == expected);
}

TEST_P(CudaBulk, CancelledBatchesCallBackOnceAndLetTheNextOnesThrough) {
  TransferRequest first = all(Op::kWrite);
  first.local = first.local.first(kBytes / 2);
  TransferRequest second = all(Op::kRead);
  second.local = second.local.last(kBytes / 2);
  second.offset = kBytes / 2;
  for (int round = 0; round < 16; ++round) {
    // Halves of their own: a peer may still read for a batch that was cancelled, and what it reads goes nowhere.
    const TransferRequest request = round % 2 == 0 ? first : second;
    std::atomic<int> calls{0};
    Later<Status> done;
    const Batch batch = a()->submit(a().peer(b()), std::span(&request, 1), soon(), std::nullopt,
                                    [&, set = done.setter()](Status status) {
                                      ++calls;
                                      set(std::move(status));
                                    });
    for (int spin = 0; spin < round * 20; ++spin) std::this_thread::yield();
    a()->cancel(batch);
    const Status status = done.get();
    EXPECT_TRUE(status.ok() || status.code() == Code::kCancelled) << status.to_string();
    a().drain();
    EXPECT_EQ(calls.load(), 1);
  }
  near_->put(noise(kBytes, 9));
  ASSERT_TRUE(move(first).ok());
  std::vector<std::byte> arrived = far_->get();
  arrived.resize(kBytes / 2);
  std::vector<std::byte> sent = noise(kBytes, 9);
  sent.resize(kBytes / 2);
  EXPECT_TRUE(arrived == sent);
}

TEST_P(CudaBulk, UnregisteringUnderTrafficNeverLetsLateBytesThrough) {
  for (int round = 0; round < 12; ++round) {
    const SegmentHandle segment = *b()->register_memory(far_->span(), far_->kind(), Access::kReadWrite);
    TransferRequest request = all(round % 2 == 0 ? Op::kWrite : Op::kRead);
    request.segment = segment;
    Later<Status> done;
    a()->submit(a().peer(b()), std::span(&request, 1), soon(), std::nullopt, done.setter());
    for (int spin = 0; spin < round * 20; ++spin) std::this_thread::yield();
    EXPECT_TRUE(unregister(b(), segment).get());
    const std::vector<std::byte> mine = noise(kBytes, 100 + round);
    far_->put(mine);  // it is ours again
    const Status status = done.get();
    EXPECT_TRUE(status.ok() || status.code() == Code::kStale) << status.to_string();
    EXPECT_TRUE(far_->get() == mine);
  }
}

TEST_P(CudaBulk, MemoryIsHeldWhileTheDeviceIsAtIt) {
  if (!SimulatedCuda::here()) GTEST_SKIP() << kNoDouble;
  SimulatedCuda::hold(true);
  const TransferRequest request = all(Op::kWrite);
  Later<Status> done;
  const Batch batch = a()->submit(a().peer(b()), std::span(&request, 1), soon(), std::nullopt, done.setter());
  EXPECT_TRUE(eventually([] { return SimulatedCuda::count("copies_now") > 0; }));
  a()->cancel(batch);
  const bool near_copies = GetParam().near_device || GetParam().same_engine;
  Later<bool> gone = near_copies ? unregister(a(), near_segment_) : unregister(b(), segment_);
  a().drain();
  EXPECT_FALSE(near_copies && done.ready());
  EXPECT_FALSE(gone.ready());
  SimulatedCuda::hold(false);
  EXPECT_EQ(done.get().code(), Code::kCancelled);
  EXPECT_TRUE(gone.get());
}

TEST_P(CudaBulk, DriverErrorsFailTheBatchWithTheirName) {
  if (!SimulatedCuda::here()) GTEST_SKIP() << kNoDouble;
  for (const Op op : {Op::kWrite, Op::kRead}) {
    SimulatedCuda::fail("cuMemcpyAsync", CudaResult::kUnknown, 1);
    const Status status = move(all(op));
    EXPECT_EQ(status.code(), Code::kUnavailable);
    EXPECT_THAT(status.message(), HasSubstr("999"));
    SimulatedCuda::fail("cuLaunchHostFunc", CudaResult::kOutOfMemory, 1);
    EXPECT_EQ(move(all(op)).code(), Code::kExhausted);
    EXPECT_TRUE(move(all(op)).ok());
  }
}

TEST_P(CudaBulk, EngineThatEndsInMidCopyLetsGoOfEverything) {
  if (!SimulatedCuda::here()) GTEST_SKIP() << kNoDouble;
  SimulatedCuda::hold(true);
  const TransferRequest request = all(Op::kWrite);
  Later<Status> done;
  a()->submit(a().peer(b()), std::span(&request, 1), soon(), std::nullopt, done.setter());
  EXPECT_TRUE(eventually([] { return SimulatedCuda::count("copies_now") > 0; }));
  std::thread release([] { SimulatedCuda::hold(false); });
  a().destroy_engine();
  release.join();
  EXPECT_FALSE(done.get().ok());
  if (b_) b_->destroy_engine();
  near_.reset();
  far_.reset();
  EXPECT_EQ(SimulatedCuda::count("streams"), 0);
  EXPECT_EQ(SimulatedCuda::count("pinned"), 0);
  EXPECT_EQ(SimulatedCuda::count("contexts"), 0);
  EXPECT_EQ(SimulatedCuda::count("copies_now"), 0);
}

}  // namespace
}  // namespace mooncake::transfer
