// The cache over a table of functions that register nothing, and count. Memory of GPUs is of the double of the driver.
#include "transfer/rdma/registration_cache.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <set>

#include "transfer/cuda/test_cuda.h"

namespace mooncake::transfer {
namespace {

std::set<ibv_mr*> regions;  // that are registered now
std::size_t asked = 0;
int next_error = 0;  // of the next registration; 0: it works

ibv_mr* count_registration(ibv_pd*, void* address, std::size_t bytes, int) {
  ++asked;
  errno = next_error;
  if (next_error != 0) return nullptr;
  auto* region = new ibv_mr{};
  region->addr = address;
  region->length = bytes;
  regions.insert(region);
  return region;
}

int count_deregistration(ibv_mr* region) {
  EXPECT_EQ(regions.erase(region), 1u);
  delete region;
  return 0;
}

class Registrations : public testing::Test {
 protected:
  Registrations() {
    asked = 0;
    next_error = 0;
    verbs_.reg_mr = count_registration;
    verbs_.dereg_mr = count_deregistration;
  }
  Result<RegistrationPtr> get(const AreaKey& key, Instant now = {}) { return cache_.get(key, memory_, now); }

  std::array<std::byte, 64> memory_{};
  Verbs verbs_{};
  RegistrationCache cache_{verbs_, nullptr, 0};
};

TEST_F(Registrations, AreaIsRegisteredOnceAndWhole) {
  const AreaKey pool{.segment = {}, .pool = 1};
  const RegistrationPtr first = *get(pool);
  EXPECT_EQ(*get(pool), first);
  EXPECT_EQ(first->region()->length, memory_.size());
  EXPECT_NE(*get({.segment = {1, 1}}), first);
  EXPECT_NE(*get({.segment = {1, 2}}), *get({.segment = {1, 1}}));
  EXPECT_EQ(asked, 3u);
}

TEST_F(Registrations, DroppedAreaIsUnpinnedWhenItsLastUserLetsGo) {
  const AreaKey segment{.segment = {1, 1}};
  RegistrationPtr user = *get(segment);
  cache_.drop(segment);
  EXPECT_EQ(regions.size(), 1u);
  EXPECT_NE(*get(segment), user) << "a new area by that name";
  user.reset();
  EXPECT_EQ(regions.size(), 1u);
  cache_.drop(segment);
  EXPECT_TRUE(regions.empty());
}

TEST_F(Registrations, LimitOfLockedMemoryIsATypedErrorAndIsNotTriedAgainAtOnce) {
  next_error = ENOMEM;
  const AreaKey pool{.segment = {}, .pool = 1};
  const Status status = get(pool).status();
  EXPECT_EQ(status.code(), Code::kExhausted);
  EXPECT_NE(status.message().find("ulimit -l"), std::string::npos);
  next_error = 0;
  EXPECT_EQ(get(pool).status().code(), Code::kExhausted);
  EXPECT_EQ(asked, 1u);
  EXPECT_TRUE(get(pool, Instant{} + kRegistrationRetry).ok());
}

TEST_F(Registrations, RefusalOfTheDeviceIsAnotherError) {
  next_error = EFAULT;
  EXPECT_EQ(get({.segment = {1, 1}}).status().code(), Code::kUnavailable);
}

TEST_F(Registrations, ThereIsALimit) {
  for (std::uint32_t index = 0; index < kRegistrationsMax; ++index) ASSERT_TRUE(get({.segment = {index, 1}}).ok());
  EXPECT_EQ(get({.segment = {kRegistrationsMax, 1}}).status().code(), Code::kExhausted);
  cache_.drop({.segment = {0, 1}});
  EXPECT_TRUE(get({.segment = {kRegistrationsMax, 1}}).ok());
}

/// What the device was asked for with a dma-buf, and the first bytes there.
struct DmaBuf {
  std::uint64_t offset = 0;
  std::size_t bytes = 0;
  std::uint64_t address = 0;
  int fd = -1;
  int access = 0;
  std::vector<std::byte> begins_with;
};
DmaBuf last;

ibv_mr* look_at_dmabuf(ibv_pd*, std::uint64_t offset, std::size_t bytes, std::uint64_t address, int fd, int access) {
  last = {.offset = offset, .bytes = bytes, .address = address, .fd = fd, .access = access, .begins_with = {}};
  last.begins_with.resize(100);
  const off_t begin = ::lseek(fd, 0, SEEK_CUR);  // of the double's dma-buf
  EXPECT_EQ(::pread(fd, last.begins_with.data(), 100, begin + static_cast<off_t>(offset)), 100);
  return count_registration(nullptr, nullptr, bytes, access);
}

class CudaRegistrations : public Registrations {
 protected:
  void SetUp() override {
    if (!SimulatedCuda::here()) GTEST_SKIP() << kNoDouble;
    gpu_.emplace(2u << 20);
    verbs_.reg_dmabuf_mr = look_at_dmabuf;
    SimulatedCuda::set("dma_buf", 1);
    SimulatedCuda::set("rdma_ordering", 200);
  }
  void TearDown() override {
    if (SimulatedCuda::here()) SimulatedCuda::set("dma_buf", 1);
  }
  Result<RegistrationPtr> get(RemoteRight right, Instant now = {}, std::uint32_t segment = 1) {
    return cache_.get_gpu({.segment = {segment, 1}}, gpu_->span().subspan(begin_, 1 << 20), right, now);
  }

  std::optional<GpuMemory> gpu_;
  std::size_t begin_ = 4096 + 40;
};

TEST_F(CudaRegistrations, SegmentIsFoundWhereItIsInTheDmaBuf) {
  const std::vector<std::byte> bytes = noise(2 << 20, 3);
  gpu_->put(bytes);
  for (const std::size_t begin : {0u, 1u, 4095u, 4096u, 4096u + 40, 1u << 20}) {
    begin_ = begin;
    ASSERT_TRUE(get(RemoteRight::kNone).ok()) << begin;
    EXPECT_EQ(last.address, cuda_address(gpu_->span().data()) + begin);
    EXPECT_EQ(last.offset % 4096, last.address % 4096) << "the kernel asks for that";
    EXPECT_EQ(last.bytes, 1u << 20) << "nothing of its neighbours";
    EXPECT_TRUE(std::equal(last.begins_with.begin(), last.begins_with.end(), bytes.begin() + static_cast<long>(begin)));
    EXPECT_EQ(::fcntl(last.fd, F_GETFD), -1) << "the registration holds the memory, not the descriptor";
    cache_.drop({.segment = {1, 1}});
  }
}

TEST_F(CudaRegistrations, EachRightHasItsOwnAndNoneTakesWindows) {
  ASSERT_TRUE(get(RemoteRight::kNone).ok());
  EXPECT_EQ(last.access, IBV_ACCESS_LOCAL_WRITE);
  ASSERT_TRUE(get(RemoteRight::kRead).ok());
  EXPECT_EQ(last.access, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ);
  const RegistrationPtr write = *get(RemoteRight::kWrite);
  EXPECT_EQ(last.access, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
  EXPECT_FALSE(write->takes_windows());
  EXPECT_TRUE((*Registrations::get({.segment = {2, 1}}))->takes_windows());
  EXPECT_EQ(*get(RemoteRight::kWrite), write);
  EXPECT_EQ(regions.size(), 4u);
  EXPECT_EQ(SimulatedCuda::count("contexts"), 4) << "of the memory, and of each";
  cache_.drop({.segment = {1, 1}});
  EXPECT_EQ(regions.size(), 2u) << "but for the one in use, and the host's";
}

TEST_F(CudaRegistrations, WhatDriverCardOrLibraryCannotDoIsNotTriedAgain) {
  const auto expect_final = [&](std::uint32_t segment) {
    EXPECT_EQ(get(RemoteRight::kNone, {}, segment).status().code(), Code::kUnsupported);
    const std::size_t before = asked;
    EXPECT_EQ(get(RemoteRight::kNone, Instant{} + 2 * kRegistrationRetry, segment).status().code(), Code::kUnsupported);
    EXPECT_EQ(asked, before);
  };
  testing::internal::CaptureStderr();
  SimulatedCuda::set("dma_buf", 0);
  expect_final(1);
  SimulatedCuda::set("dma_buf", 1);
  next_error = EOPNOTSUPP;
  expect_final(2);
  next_error = 0;
  verbs_.reg_dmabuf_mr = nullptr;
  expect_final(3);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("it moves by other means"), std::string::npos);
  EXPECT_EQ(said.find("it moves by other means"), said.rfind("it moves by other means")) << "said once: " << said;
}

TEST_F(CudaRegistrations, OtherFailuresAreTriedAgainLater) {
  next_error = EINVAL;
  EXPECT_EQ(get(RemoteRight::kNone).status().code(), Code::kUnavailable);
  next_error = 0;
  EXPECT_EQ(get(RemoteRight::kNone).status().code(), Code::kUnavailable);
  EXPECT_TRUE(get(RemoteRight::kNone, Instant{} + kRegistrationRetry).ok());
  SimulatedCuda::fail("cuMemGetHandleForAddressRange", CudaResult::kOutOfMemory, 1);
  EXPECT_EQ(get(RemoteRight::kRead).status().code(), Code::kExhausted);
  EXPECT_TRUE(get(RemoteRight::kRead, Instant{} + kRegistrationRetry).ok());
}

}  // namespace
}  // namespace mooncake::transfer
