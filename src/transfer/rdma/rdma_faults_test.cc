// Two engines over two soft-RoCE ports, while ports fail and memory cannot be registered. Nothing may be lost: what
// RDMA cannot carry goes another way.
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "transfer/rdma/test_rdma.h"
#include "transfer/test_node.h"

namespace mooncake::transfer {
namespace {

constexpr std::size_t kBytes = 48u << 20;
using Op = TransferRequest::Op;

TransferConfig config(const char* name) {
  return {.node_name = name, .enable_shm = false, .rdma_devices = "rxe0,rxe1"};
}

class RdmaFaults : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_soft_roce()) GTEST_SKIP() << kNoRdma;
    start();
  }
  void TearDown() override {
    if (!has_soft_roce()) return;
    for (const int rail : {0, 1}) set_rail(rail, rail == 0 ? "mtu 1500 up" : "mtu 9000 up");
  }

  void start() {
    a_ = std::make_unique<TestNode>(config("a"));
    b_ = std::make_unique<TestNode>(config("b"));
    near_ = *a()->allocate_shared(kBytes);
    far_ = *b()->allocate_shared(kBytes);
    static_cast<void>(*a()->register_memory(near_, Access::kNone));
    segment_ = *b()->register_memory(far_, Access::kReadWrite);
    std::memcpy(near_.data(), noise(kBytes, 1).data(), kBytes);
  }
  TestNode& a() { return *a_; }
  TestNode& b() { return *b_; }

  Later<Status> submit(Op op, std::size_t bytes = kBytes) {
    const TransferRequest request{.op = op, .local = near_.first(bytes), .segment = segment_, .offset = 0};
    Later<Status> done;
    a()->submit(a().peer(b()), std::span(&request, 1), soon(), std::nullopt, done.setter());
    return done;
  }
  [[nodiscard]] bool same() const { return std::memcmp(near_.data(), far_.data(), kBytes) == 0; }
  std::uint64_t bytes(const std::string& transport) {
    std::uint64_t sum = 0;
    for (const TransferStats& row : a()->stats()) {
      if (row.transport == transport) sum += row.bytes_sent + row.bytes_received;
    }
    return sum;
  }
  /// Waits until that port has sent some more packets.
  static void await_packets(int rail, std::uint64_t more) {
    const std::uint64_t before = packets_sent(rail);
    EXPECT_TRUE(eventually([&] { return packets_sent(rail) >= before + more; }));
  }

  void take_down_in_mid_batch(Op op) {
    std::memcpy(far_.data(), noise(kBytes, 2).data(), kBytes);
    Later<Status> done = submit(op);
    await_packets(1, 200);
    set_rail(1, "down");
    EXPECT_FALSE(done.ready());
    const Status status = done.get();
    EXPECT_TRUE(status.ok()) << status.to_string();
    EXPECT_TRUE(same());
    EXPECT_EQ(bytes("tcp"), 0u);
    EXPECT_GT(total(a(), {}, "rdma", "rxe1:1").slices_retried, 0u);
    EXPECT_EQ(total(a(), {}, "rdma", "rxe1:1").connections_lost, 1u);
    EXPECT_EQ(total(a(), {}, "rdma", "rxe0:1").slices_retried, 0u);
  }

  ByteSpan near_;
  ByteSpan far_;
  SegmentHandle segment_;
  std::unique_ptr<TestNode> a_;
  std::unique_ptr<TestNode> b_;
};

TEST_F(RdmaFaults, SlicesSpreadOverBothRails) {
  const std::array<std::uint64_t, 2> before = {packets_sent(0), packets_sent(1)};
  ASSERT_TRUE(submit(Op::kWrite).get().ok());
  EXPECT_TRUE(same());
  // Packets of rail 1 are four times as long.
  EXPECT_GT((packets_sent(0) - before[0]) * 1024, kBytes / 5);
  EXPECT_GT((packets_sent(1) - before[1]) * 4096, kBytes / 5);
  EXPECT_EQ(bytes("rdma"), kBytes);
}

TEST_F(RdmaFaults, LinkThatGoesDownInMidBatchLosesNoByteOfAWriteAndComesBack) {
  take_down_in_mid_batch(Op::kWrite);
  // The other rail alone, then both again.
  const std::uint64_t quiet = packets_sent(1);
  ASSERT_TRUE(submit(Op::kWrite, 8u << 20).get().ok());
  EXPECT_EQ(packets_sent(1), quiet);
  set_rail(1, "up");
  EXPECT_TRUE(eventually([&] { return submit(Op::kWrite).get().ok() && packets_sent(1) > quiet + 100; }));
}

TEST_F(RdmaFaults, LinkThatGoesDownInMidBatchLosesNoByteOfARead) { take_down_in_mid_batch(Op::kRead); }

TEST_F(RdmaFaults, WithoutAnyRailBatchesGoOverTcpAndLaterOverRdmaAgain) {
  Later<Status> done = submit(Op::kWrite);
  await_packets(0, 200);
  set_rail(0, "down");
  set_rail(1, "down");
  const Status status = done.get();
  EXPECT_TRUE(status.ok()) << status.to_string();
  EXPECT_TRUE(same());
  EXPECT_GT(bytes("tcp"), 0u);
  set_rail(0, "up");
  const std::uint64_t before = bytes("rdma");
  EXPECT_TRUE(eventually([&] { return submit(Op::kRead, 1u << 20).get().ok() && bytes("rdma") > before; }));
}

TEST_F(RdmaFaults, PortsOfDifferentMtuAgreeOnTheSmaller) {
  // One side has seen the port with long packets, the other will see it with short ones.
  set_rail(0, "down");
  b_.reset();
  set_rail(1, "mtu 1500");
  b_ = std::make_unique<TestNode>(config("b"));
  far_ = *b()->allocate_shared(kBytes);
  segment_ = *b()->register_memory(far_, Access::kReadWrite);
  const std::uint64_t before = packets_sent(1);
  ASSERT_TRUE(submit(Op::kWrite).get().ok());
  EXPECT_TRUE(same());
  EXPECT_GE(packets_sent(1) - before, kBytes / 1024);
  EXPECT_EQ(bytes("rdma"), kBytes);
}

/// While it lives this thread, and threads that it starts, may not pin more memory than the process's limit, though
/// they are root's.
class WithoutIpcLock {
 public:
  WithoutIpcLock() {
    syscall(SYS_capget, &header_, data_.data());
    std::array<__user_cap_data_struct, 2> less = data_;
    less[0].effective &= ~(1u << CAP_IPC_LOCK);
    EXPECT_EQ(syscall(SYS_capset, &header_, less.data()), 0);
    EXPECT_EQ(::getrlimit(RLIMIT_MEMLOCK, &limit_), 0);
    const rlimit small{.rlim_cur = 1u << 20, .rlim_max = limit_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_MEMLOCK, &small), 0);
  }
  ~WithoutIpcLock() {
    syscall(SYS_capset, &header_, data_.data());
    ::setrlimit(RLIMIT_MEMLOCK, &limit_);
  }

 private:
  __user_cap_header_struct header_{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> data_{};
  rlimit limit_{};
};

TEST_F(RdmaFaults, MemoryThatMayNotBeLockedGoesOverTcp) {
  a_.reset();
  b_.reset();
  const WithoutIpcLock limited;
  start();
  ASSERT_TRUE(submit(Op::kWrite).get().ok());
  EXPECT_TRUE(same());
  EXPECT_EQ(bytes("tcp"), kBytes);
  EXPECT_EQ(bytes("rdma"), 0u);
}

TEST_F(RdmaFaults, StoppingAnEngineInMidBatchFailsTheBatchOnce) {
  Later<Status> done = submit(Op::kRead);
  await_packets(1, 100);
  b().destroy_engine();
  EXPECT_EQ(done.get().code(), Code::kPeerLost);
  a().destroy_engine();
}

}  // namespace
}  // namespace mooncake::transfer
