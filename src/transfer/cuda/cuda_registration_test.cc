// What may be registered as memory of a GPU, with a driver and without.
#include <gmock/gmock.h>

#include "transfer/cuda/cuda_host.h"
#include "transfer/cuda/test_cuda.h"
#include "transfer/test_node.h"

namespace mooncake::transfer {
namespace {

using testing::HasSubstr;

TEST(WithoutCuda, DeviceMemoryIsUnavailableWithTheReasonAndAllElseWorks) {
  if (has_cuda()) GTEST_SKIP() << "there is a GPU here";
  TestNode node;
  std::vector<std::byte> memory(4096);
  const Result<SegmentHandle> segment = node->register_memory(memory, MemoryKind::kCuda, Access::kNone);
  EXPECT_EQ(segment.status().code(), Code::kUnavailable);
  EXPECT_THAT(segment.status().message(), HasSubstr("cuda: "));
  EXPECT_TRUE(node->register_memory(memory, MemoryKind::kHost, Access::kNone).ok());
}

class CudaRegistration : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_cuda()) GTEST_SKIP() << kNoCuda;
  }
  TestNode node_;
};

TEST_F(CudaRegistration, MemoryOfTheOtherKindIsRefused) {
  const GpuMemory gpu(8192);
  std::vector<std::byte> host(8192);
  const ByteSpan pool = *node_->allocate_shared(8192);
  EXPECT_EQ(node_->register_memory(gpu.span(), Access::kNone).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(node_->register_memory(host, MemoryKind::kCuda, Access::kNone).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(node_->register_memory(pool, MemoryKind::kCuda, Access::kNone).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(node_->register_memory({}, MemoryKind::kCuda, Access::kNone).status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(node_->register_memory(gpu.span(), MemoryKind::kCuda, Access::kNone).ok());
  EXPECT_TRUE(node_->register_memory(host, Access::kNone).ok());
}

TEST_F(CudaRegistration, MemoryThatReachesBeyondTheDevicesIsRefused) {
  if (!SimulatedCuda::here()) GTEST_SKIP() << kNoDouble;
  const GpuMemory gpu(4096);
  const ByteSpan beyond(gpu.span().data(), 64 << 10);
  EXPECT_EQ(node_->register_memory(beyond, MemoryKind::kCuda, Access::kNone).status().code(), Code::kInvalidArgument);
  const ByteSpan before(gpu.span().data() - 8, 4096);
  EXPECT_EQ(node_->register_memory(before, MemoryKind::kCuda, Access::kNone).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(node_->register_memory(before, Access::kNone).status().code(), Code::kInvalidArgument);
}

TEST_F(CudaRegistration, EngineWithoutDeviceMemoryAsksNothingOfTheDriver) {
  if (!SimulatedCuda::here()) GTEST_SKIP() << kNoDouble;
  std::vector<std::byte> host(4096);
  ASSERT_TRUE(node_->register_memory(host, Access::kNone).ok());
  EXPECT_EQ(SimulatedCuda::count("contexts"), 0);
  EXPECT_EQ(SimulatedCuda::count("pinned"), 0);
  EXPECT_EQ(SimulatedCuda::count("streams"), 0);
}

TEST_F(CudaRegistration, RingThatCannotBePinnedFailsTheRegistrationAndIsTriedAgain) {
  if (!SimulatedCuda::here()) GTEST_SKIP() << kNoDouble;
  {
    const GpuMemory gpu(4096);
    for (const char* function : {"cuDevicePrimaryCtxRetain", "cuMemHostRegister_v2"}) {
      SimulatedCuda::fail(function, CudaResult::kOutOfMemory, 1);
      const Status status = node_->register_memory(gpu.span(), MemoryKind::kCuda, Access::kNone).status();
      EXPECT_EQ(status.code(), Code::kExhausted);
      EXPECT_THAT(status.message(), HasSubstr("CUDA_ERROR_OUT_OF_MEMORY"));
    }
    EXPECT_EQ(SimulatedCuda::count("pinned"), 0);
    EXPECT_TRUE(node_->register_memory(gpu.span(), MemoryKind::kCuda, Access::kNone).ok());
    EXPECT_EQ(SimulatedCuda::count("pinned"), 1);
  }
  node_.destroy_engine();
  EXPECT_EQ(SimulatedCuda::count("pinned"), 0);
  EXPECT_EQ(SimulatedCuda::count("contexts"), 0);
}

TEST_F(CudaRegistration, PoolIsUnpinnedBeforeItIsFreed) {
  if (!SimulatedCuda::here()) GTEST_SKIP() << kNoDouble;
  const GpuMemory gpu(4096);
  const ByteSpan pool = *node_->allocate_shared(4096);
  const SegmentHandle segment = *node_->register_memory(gpu.span(), MemoryKind::kCuda, Access::kReadWrite);
  const SegmentHandle local = *node_->register_memory(pool, Access::kNone);
  const TransferRequest request{.op = TransferRequest::Op::kWrite, .local = pool, .segment = segment, .offset = 0};
  ASSERT_TRUE(node_->submit_and_wait(node_.peer(node_), std::span(&request, 1), soon()).ok());
  EXPECT_EQ(SimulatedCuda::count("pinned"), 2);
  Later<bool> gone;
  ASSERT_TRUE(node_->unregister_memory(local, [set = gone.setter()] { set(true); }).ok());
  gone.get();
  node_->free_shared(pool);
  EXPECT_EQ(SimulatedCuda::count("pinned"), 1);
}

TEST_F(CudaRegistration, PoolThatCannotBePinnedTakesTheRing) {
  if (!SimulatedCuda::here()) GTEST_SKIP() << kNoDouble;
  const GpuMemory gpu(4096);
  const ByteSpan pool = *node_->allocate_shared(4096);
  std::memcpy(pool.data(), noise(4096, 7).data(), 4096);
  const SegmentHandle segment = *node_->register_memory(gpu.span(), MemoryKind::kCuda, Access::kReadWrite);
  ASSERT_TRUE(node_->register_memory(pool, Access::kNone).ok());
  SimulatedCuda::fail("cuMemHostRegister_v2", CudaResult::kOutOfMemory, 1);
  const TransferRequest request{.op = TransferRequest::Op::kWrite, .local = pool, .segment = segment, .offset = 0};
  ASSERT_TRUE(node_->submit_and_wait(node_.peer(node_), std::span(&request, 1), soon()).ok());
  EXPECT_TRUE(gpu.get() == noise(4096, 7));
  EXPECT_EQ(SimulatedCuda::count("pinned"), 1);
}

TEST_F(CudaRegistration, CopiesBetweenTwoDevicesGoStraight) {
  if (!SimulatedCuda::here()) GTEST_SKIP() << kNoDouble;
  GpuMemory one(1 << 20, 0);
  const GpuMemory other(1 << 20, 1);
  one.put(noise(1 << 20, 3));
  ASSERT_TRUE(node_->register_memory(one.span(), MemoryKind::kCuda, Access::kNone).ok());
  const SegmentHandle segment = *node_->register_memory(other.span(), MemoryKind::kCuda, Access::kReadWrite);
  const long before = SimulatedCuda::count("copies");
  const TransferRequest request{
      .op = TransferRequest::Op::kWrite, .local = one.span(), .segment = segment, .offset = 0};
  ASSERT_TRUE(node_->submit_and_wait(node_.peer(node_), std::span(&request, 1), soon()).ok());
  EXPECT_TRUE(other.get() == noise(1 << 20, 3));
  EXPECT_EQ(SimulatedCuda::count("copies") - before, 1);
}

}  // namespace
}  // namespace mooncake::transfer
