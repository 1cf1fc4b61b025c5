// Memory of GPUs over RDMA, between two engines of one process, with the doubles of both libraries (tests/cuda/ and
// tests/rdma/): straight where driver and card can, and through the staging ring or tcp where they cannot. The doubles
// make it a crash if the host touches device memory, an error if a card goes beyond what it was given, and old bytes if
// the GPU looks before it is told that a card has written.
#include <gmock/gmock.h>

#include <optional>

#include "transfer/cuda/test_cuda.h"
#include "transfer/rdma/test_verbs.h"
#include "transfer/test_node.h"

namespace mooncake::transfer {
namespace {

using Op = TransferRequest::Op;
using testing::HasSubstr;

constexpr std::size_t kBytes = 9 << 20;   // several slices
constexpr std::size_t kEdge = 4096 + 40;  // before and behind the segment, in its allocation; no page begins with it

class CudaRdmaBase : public testing::Test {
 protected:
  void SetUp() override {
    if (!SimulatedCuda::here() || !SimulatedVerbs::here()) GTEST_SKIP() << kNoDouble;
    SimulatedCuda::set("dma_buf", 1);
    SimulatedCuda::set("rdma_ordering", 200);
    SimulatedCuda::set("rdma_flush", 1);
    SimulatedVerbs::set("windows", 1);
    SimulatedVerbs::set("dmabuf_error", 0);
    near_.emplace(kBytes + 2 * kEdge, 0);
    far_.emplace(kBytes + 2 * kEdge, 1);
  }
  void TearDown() override {
    if (!a_) return;
    SimulatedVerbs::set("hold", 0);
    a_->destroy_engine();
    b_->destroy_engine();
    EXPECT_EQ(SimulatedVerbs::count("regions"), 0);
    EXPECT_EQ(SimulatedVerbs::count("windows"), 0);
    EXPECT_EQ(SimulatedVerbs::count("pairs"), 0);
    EXPECT_EQ(SimulatedCuda::count("contexts"), 2) << "of the two pieces of memory";
  }

  /// Two engines, after the devices have got their abilities. The near memory has noise of seed 1, the far one of 2.
  void start() {
    near_->put(noise(kBytes + 2 * kEdge, 1));
    far_->put(noise(kBytes + 2 * kEdge, 2));
    const auto config = [](const char* name) {
      return TransferConfig{.node_name = name, .enable_shm = false, .rdma_devices = kSimulatedDevice};
    };
    a_ = std::make_unique<TestNode>(config("a"));
    b_ = std::make_unique<TestNode>(config("b"));
    near_segment_ = *a()->register_memory(near_span(), MemoryKind::kCuda, Access::kNone);
    far_segment_ = *b()->register_memory(far_span(), MemoryKind::kCuda, Access::kReadWrite);
    copies_ = SimulatedCuda::count("copies");
  }
  TestNode& a() { return *a_; }
  TestNode& b() { return *b_; }
  ByteSpan near_span() { return near_->span().subspan(kEdge, kBytes); }
  ByteSpan far_span() { return far_->span().subspan(kEdge, kBytes); }
  TransferRequest all(Op op) { return {.op = op, .local = near_span(), .segment = far_segment_, .offset = 0}; }
  Status move(const TransferRequest& request) {
    return a()->submit_and_wait(a().peer(b()), std::span(&request, 1), soon());
  }
  Later<Status> submit(const TransferRequest& request) {
    Later<Status> done;
    batch_ = a()->submit(a().peer(b()), std::span(&request, 1), soon(), std::nullopt, done.setter());
    return done;
  }
  Later<bool> unregister(TestNode& node, SegmentHandle segment) {
    Later<bool> gone;
    EXPECT_TRUE(node->unregister_memory(segment, [set = gone.setter()] { set(true); }).ok());
    return gone;
  }
  /// That `memory` has the bytes of `inside` in the middle and its own at the edges.
  static bool holds(const GpuMemory& memory, std::uint64_t own, std::uint64_t inside) {
    std::vector<std::byte> expected = noise(kBytes + 2 * kEdge, own);
    const std::vector<std::byte> other = noise(kBytes + 2 * kEdge, inside);
    std::copy_n(other.begin() + kEdge, kBytes, expected.begin() + kEdge);
    return memory.get() == expected;
  }
  /// Bytes that were moved by `transport`, as this side has asked.
  std::uint64_t sent(const char* transport) { return total(a(), "b", transport).bytes_sent; }
  std::uint64_t received(const char* transport) { return total(a(), "b", transport).bytes_received; }
  long copies() const { return SimulatedCuda::count("copies") - copies_; }

  std::optional<GpuMemory> near_;
  std::optional<GpuMemory> far_;
  std::unique_ptr<TestNode> a_;
  std::unique_ptr<TestNode> b_;
  SegmentHandle near_segment_;
  SegmentHandle far_segment_;
  Batch batch_;
  long copies_ = 0;
};

struct Machine {
  bool windows;
  int ordering;
};

class CudaRdma : public CudaRdmaBase, public testing::WithParamInterface<Machine> {
 protected:
  void SetUp() override {
    CudaRdmaBase::SetUp();
    if (IsSkipped()) return;
    SimulatedVerbs::set("windows", GetParam().windows ? 1 : 0);
    SimulatedCuda::set("rdma_ordering", GetParam().ordering);
    start();
  }
};

INSTANTIATE_TEST_SUITE_P(Machines, CudaRdma,
                         testing::Values(Machine{true, 200}, Machine{true, 0}, Machine{false, 100},
                                         Machine{false, 200}),
                         [](const testing::TestParamInfo<Machine>& machine) {
                           return std::string(machine.param.windows ? "Windows" : "NoWindows") + "Ordering" +
                                  std::to_string(machine.param.ordering);
                         });

TEST_P(CudaRdma, BytesGoStraightBothWaysAndTheGpuSeesThem) {
  const long flushes = SimulatedCuda::count("flushes");
  ASSERT_TRUE(move(all(Op::kWrite)).ok());
  EXPECT_TRUE(holds(*far_, 2, 1)) << "seen by the owner's GPU once it is done, and nothing beside it is touched";
  far_->put(noise(kBytes + 2 * kEdge, 3));
  ASSERT_TRUE(move(all(Op::kRead)).ok());
  EXPECT_TRUE(holds(*near_, 1, 3));
  EXPECT_EQ(sent("rdma"), kBytes);
  EXPECT_EQ(received("rdma"), kBytes);
  EXPECT_EQ(copies(), 0) << "no byte went through the host";
  EXPECT_EQ(SimulatedVerbs::count("dmabufs"), 3) << "one for this engine's own use, one for each right of its peers";
  EXPECT_EQ(SimulatedCuda::count("flushes") > flushes, GetParam().ordering < 200)
      << "only a GPU that needs it is asked";
}

TEST_P(CudaRdma, UnregisteringRevokesWhatPeersWereGrantedAndDropsTheRegistration) {
  ASSERT_TRUE(move(all(Op::kWrite)).ok());
  far_->put(noise(kBytes + 2 * kEdge, 4));
  SimulatedVerbs::set("hold", 1);
  Later<Status> done = submit(all(Op::kWrite));
  ASSERT_TRUE(eventually([] { return SimulatedVerbs::count("held") > 0; }));
  EXPECT_TRUE(unregister(b(), far_segment_).get()) << "with no word of the peer";
  ASSERT_TRUE(eventually([] { return SimulatedVerbs::count("dmabufs") == 1; })) << "the near one is left";
  SimulatedVerbs::set("hold", 0);
  EXPECT_EQ(done.get().code(), Code::kStale);
  EXPECT_TRUE(holds(*far_, 4, 4)) << "what came too late has touched nothing";
  EXPECT_TRUE(unregister(a(), near_segment_).get());
  ASSERT_TRUE(eventually([] { return SimulatedVerbs::count("dmabufs") == 0; }));
}

TEST_P(CudaRdma, RevocationDoesNotRelyOnTheRegistrationsEnd) {
  // The same memory is another segment, too, by which it stays registered.
  const SegmentHandle twin = *b()->register_memory(far_span(), MemoryKind::kCuda, Access::kReadWrite);
  TransferRequest request = all(Op::kWrite);
  request.segment = twin;
  SimulatedVerbs::set("hold", 1);
  Later<Status> done = submit(request);
  ASSERT_TRUE(eventually([] { return SimulatedVerbs::count("held") > 0; }));
  EXPECT_TRUE(unregister(b(), twin).get()) << "with no word of the peer";
  SimulatedVerbs::set("hold", 0);
  EXPECT_EQ(done.get().code(), Code::kStale);
  EXPECT_TRUE(holds(*far_, 2, 2)) << "what came too late has touched nothing";
  EXPECT_EQ(SimulatedVerbs::count("dmabufs"), 2) << "here, and there by the first segment";
}

TEST_P(CudaRdma, OtherGrantsOfAnEndpointThatARevocationEndsGoOn) {
  std::vector<std::byte> host = noise(kBytes, 7);
  const SegmentHandle other = *b()->register_memory(host, Access::kReadWrite);
  ASSERT_TRUE(move(all(Op::kRead)).ok());
  SimulatedVerbs::set("hold", 1);
  Later<Status> revoked = submit(all(Op::kRead));
  ASSERT_TRUE(eventually([] { return SimulatedVerbs::count("held") > 0; }));
  std::vector<std::byte> into(kBytes);
  ASSERT_TRUE(a()->register_memory(into, Access::kNone).ok());
  const TransferRequest request{.op = Op::kRead, .local = into, .segment = other, .offset = 0};
  Later<Status> goes_on;
  const Batch batch = a()->submit(a().peer(b()), std::span(&request, 1), soon(), std::nullopt, goes_on.setter());
  EXPECT_TRUE(unregister(b(), far_segment_).get());
  SimulatedVerbs::set("hold", 0);
  EXPECT_EQ(revoked.get().code(), Code::kStale);
  EXPECT_TRUE(goes_on.get().ok());
  EXPECT_TRUE(into == noise(kBytes, 7));
}

class CudaRdmaRefused : public CudaRdmaBase {
 protected:
  /// By RDMA through the ring here, and by tcp where the far memory is a GPU's: as without dma-bufs.
  void expect_staged() {
    ASSERT_TRUE(move(all(Op::kWrite)).ok());
    EXPECT_TRUE(holds(*far_, 2, 1));
    far_->put(noise(kBytes + 2 * kEdge, 3));
    ASSERT_TRUE(move(all(Op::kRead)).ok());
    EXPECT_TRUE(holds(*near_, 1, 3));
    EXPECT_EQ(sent("tcp"), kBytes);
    EXPECT_GT(copies(), 0);
    EXPECT_EQ(SimulatedVerbs::count("dmabufs"), 0);

    std::vector<std::byte> host = noise(kBytes, 8);
    const SegmentHandle segment = *b()->register_memory(host, Access::kReadWrite);
    const TransferRequest request{.op = Op::kRead, .local = near_span(), .segment = segment, .offset = 0};
    ASSERT_TRUE(move(request).ok());
    EXPECT_EQ(received("rdma"), kBytes) << "the card takes it as far as the ring";
    const std::vector<std::byte> now = near_->get();
    EXPECT_TRUE(std::equal(host.begin(), host.end(), now.begin() + kEdge));
  }
};

TEST_F(CudaRdmaRefused, DriverWithoutDmaBufsStages) {
  SimulatedCuda::set("dma_buf", 0);
  start();
  expect_staged();
}

TEST_F(CudaRdmaRefused, GpuThatCannotBeMadeToSeeWhatCardsWriteStages) {
  SimulatedCuda::set("rdma_ordering", 100);
  SimulatedCuda::set("rdma_flush", 0);
  start();
  expect_staged();
}

TEST_F(CudaRdmaRefused, CardOrKernelWithoutDmaBufsStages) {
  for (const int error : {EOPNOTSUPP, EINVAL}) {
    SimulatedVerbs::set("dmabuf_error", error);
    start();
    expect_staged();
    a_->destroy_engine();
    b_->destroy_engine();
  }
}

TEST_F(CudaRdmaRefused, DriverThatFailsOnceStagesAndSaysSo) {
  start();
  SimulatedCuda::fail("cuMemGetHandleForAddressRange", CudaResult::kOutOfMemory, 100);
  expect_staged();
  SimulatedCuda::fail("cuMemGetHandleForAddressRange", CudaResult::kOutOfMemory, 0);
}

TEST_F(CudaRdmaBase, WriteThatTheGpuCannotBeMadeToSeeFails) {
  SimulatedCuda::set("rdma_ordering", 0);
  for (const Op op : {Op::kWrite, Op::kRead}) {
    start();  // anew: a rail that has failed is left alone for a while
    SimulatedCuda::fail("cuFlushGPUDirectRDMAWrites", CudaResult::kUnknown, 100);
    const Status status = move(all(op));
    EXPECT_EQ(status.code(), Code::kUnavailable);
    EXPECT_THAT(status.message(), HasSubstr("cuda: waiting until the GPU sees"));
    SimulatedCuda::fail("cuFlushGPUDirectRDMAWrites", CudaResult::kUnknown, 0);
    SimulatedCuda::set("rdma_ordering", 0);  // forgets what was not seen
    far_->put(noise(kBytes + 2 * kEdge, 3));
    near_->put(noise(kBytes + 2 * kEdge, 1));
    ASSERT_TRUE(move(all(Op::kWrite)).ok());
    EXPECT_TRUE(holds(*far_, 3, 1));
    a_->destroy_engine();
    b_->destroy_engine();
  }
}

TEST_F(CudaRdmaBase, OneEndMayBeOfTheHost) {
  start();
  std::vector<std::byte> host = noise(kBytes, 5);
  ASSERT_TRUE(a()->register_memory(host, Access::kNone).ok());
  const TransferRequest write{.op = Op::kWrite, .local = host, .segment = far_segment_, .offset = 0};
  ASSERT_TRUE(move(write).ok());
  const std::vector<std::byte> now = far_->get();
  EXPECT_TRUE(std::equal(host.begin(), host.end(), now.begin() + kEdge));
  std::ranges::fill(host, std::byte{0});
  ASSERT_TRUE(move({.op = Op::kRead, .local = host, .segment = far_segment_, .offset = 0}).ok());
  EXPECT_TRUE(host == noise(kBytes, 5));
  EXPECT_EQ(copies(), 0);
  EXPECT_EQ(SimulatedVerbs::count("dmabufs"), 2);
}

}  // namespace
}  // namespace mooncake::transfer
