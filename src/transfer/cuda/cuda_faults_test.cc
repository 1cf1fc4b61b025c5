// Devices and peers that stop, fail or lie while bytes are between the two: memory is let go of when the device has,
// each operation ends once, slots come back, and the engine goes on serving others.
#include <gmock/gmock.h>
#include <unistd.h>

#include "transfer/cuda/cuda_host.h"
#include "transfer/cuda/test_cuda.h"
#include "transfer/fake_peer.h"
#include "transfer/file/test_files.h"
#include "transfer/test_node.h"

namespace mooncake::transfer {
namespace {

using Op = TransferRequest::Op;
constexpr std::uint16_t kEcho = 900;
constexpr std::size_t kPiece = 64 << 10;
constexpr std::size_t kBytes = 4 << 20;

class CudaFaults : public testing::Test {
 protected:
  CudaFaults() : node_({.node_name = "node", .connections_per_peer = 1, .enable_shm = false}) {
    node_.serve_echo(kEcho);
  }
  void SetUp() override {
    if (!SimulatedCuda::here()) GTEST_SKIP() << kNoDouble;
    gpu_ = std::make_unique<GpuMemory>(kBytes);
    gpu_->put(noise(kBytes, 1));
    segment_ = *node_->register_memory(gpu_->span(), MemoryKind::kCuda, Access::kReadWrite);
  }
  void TearDown() override {
    if (!SimulatedCuda::here()) return;
    SimulatedCuda::lose(false);
    SimulatedCuda::hold(false);
  }
  void meet() {
    fake_.dial(node_->name());
    fake_.greet();
  }
  /// A second connection of the same peer.
  void meet_again() {
    second_.hello() = fake_.hello();
    second_.hello().role = ConnectionRole::kExtra;
    second_.hello().connection = fake_.hello().connection + 2;
    second_.dial(node_->name());
    second_.greet();
    second_.send({.kind = FrameKind::kCall, .request_id = 1, .argument = kEcho}, "ping");
    EXPECT_EQ(fake_.receive(FrameKind::kReply).header.request_id, 1u);
  }
  void write(FakePeer& from, std::uint64_t id, std::uint64_t offset, std::size_t bytes, char value) {
    from.send({.kind = FrameKind::kWrite, .request_id = id},
              range_payload({.segment = segment_, .offset = offset, .length = bytes}, std::string(bytes, value)));
  }
  void read(std::uint64_t id, std::uint64_t offset, std::size_t bytes) {
    fake_.send({.kind = FrameKind::kRead, .request_id = id},
               range_payload({.segment = segment_, .offset = offset, .length = bytes}));
  }
  Later<bool> unregister(SegmentHandle segment) {
    Later<bool> gone;
    EXPECT_TRUE(node_->unregister_memory(segment, [set = gone.setter()] { set(true); }).ok());
    return gone;
  }
  void expect_serving() {
    TestNode other({.enable_shm = false});
    EXPECT_EQ(*other.ask(node_, kEcho, "hello"), "hello");
    std::vector<std::byte> local(kPiece);
    static_cast<void>(*other->register_memory(local, Access::kNone));
    const TransferRequest request{.op = Op::kWrite, .local = local, .segment = segment_, .offset = 0};
    EXPECT_TRUE(other->submit_and_wait(other.peer(node_), std::span(&request, 1), soon()).ok());
  }
  static bool copying() {
    return eventually([] { return SimulatedCuda::count("copies_now") > 0; });
  }

  std::unique_ptr<GpuMemory> gpu_;  // outlives the engine, whose devices may be at it to its end
  TestNode node_;
  FakePeer fake_;
  FakePeer second_;
  SegmentHandle segment_;
};

TEST_F(CudaFaults, RequestsThatFitNoSlotAreRefusedAndTheNextIsServed) {
  meet();
  constexpr std::size_t kTooMany = kStagingSlotBytes + 1;
  read(1, 0, kTooMany);
  EXPECT_EQ(fake_.receive(FrameKind::kDone).header.argument, static_cast<std::uint32_t>(Code::kUnsupported));
  write(fake_, 2, 0, kTooMany, 'x');
  EXPECT_EQ(fake_.receive(FrameKind::kDone).header.argument, static_cast<std::uint32_t>(Code::kUnsupported));
  EXPECT_TRUE(gpu_->get() == noise(kBytes, 1));
  write(fake_, 3, 0, 0, 'x');
  EXPECT_EQ(fake_.receive(FrameKind::kDone).header.argument, 0u);
  read(4, kBytes - kStagingSlotBytes, kStagingSlotBytes);
  EXPECT_EQ(fake_.receive(FrameKind::kData).payload.size(), kStagingSlotBytes);
  EXPECT_TRUE(unregister(segment_).get());
}

TEST_F(CudaFaults, PeerWithoutTheRightToADeviceTouchesNothing) {
  meet();
  const SegmentHandle closed = *node_->register_memory(gpu_->span(), MemoryKind::kCuda, Access::kNone);
  segment_ = closed;
  write(fake_, 1, 0, kPiece, 'x');
  EXPECT_EQ(fake_.receive(FrameKind::kDone).header.argument, static_cast<std::uint32_t>(Code::kPermissionDenied));
  read(2, 0, kPiece);
  EXPECT_EQ(fake_.receive(FrameKind::kDone).header.argument, static_cast<std::uint32_t>(Code::kPermissionDenied));
  segment_ = *node_->register_memory(gpu_->span(), MemoryKind::kCuda, Access::kReadWrite);
  write(fake_, 3, kBytes - 1, kPiece, 'x');
  EXPECT_EQ(fake_.receive(FrameKind::kDone).header.argument, static_cast<std::uint32_t>(Code::kOutOfRange));
  EXPECT_TRUE(gpu_->get() == noise(kBytes, 1));
}

TEST_F(CudaFaults, WriterIsHeldUpWhileTheDeviceIsBusyAndNothingIsLost) {
  constexpr std::uint64_t kWrites = 60;  // far more than there are slots
  meet();
  SimulatedCuda::hold(true);
  std::thread writer([this] {
    for (std::uint64_t i = 0; i < kWrites; ++i) {
      write(fake_, i + 1, i * kPiece, kPiece, static_cast<char>('a' + i % 26));
    }
  });
  EXPECT_TRUE(copying());
  TestNode other({.enable_shm = false});
  EXPECT_EQ(*other.ask(node_, kEcho, "hello"), "hello");
  EXPECT_LE(SimulatedCuda::count("copies_now"), static_cast<long>(kLanesPerDevice));
  SimulatedCuda::hold(false);
  writer.join();
  for (std::uint64_t i = 0; i < kWrites; ++i) EXPECT_EQ(fake_.receive(FrameKind::kDone).header.argument, 0u);
  const std::vector<std::byte> bytes = gpu_->get();
  for (std::uint64_t i = 0; i < kWrites; ++i) {
    EXPECT_EQ(bytes[i * kPiece], static_cast<std::byte>('a' + i % 26));
    EXPECT_EQ(bytes[(i + 1) * kPiece - 1], static_cast<std::byte>('a' + i % 26));
  }
  EXPECT_TRUE(unregister(segment_).get());
}

TEST_F(CudaFaults, PeerThatDiesInMidCopyHoldsTheSegmentOnlyAsLongAsTheDeviceDoes) {
  meet();
  SimulatedCuda::hold(true);
  // As many as there are slots for: a connection that is held up learns of its end when it goes on.
  // Each to a place of its own, as the device runs them at once.
  for (std::uint64_t id = 1; id <= 4; ++id) write(fake_, id, id * kPiece, kPiece, 'x');
  for (std::uint64_t id = 21; id <= 40; ++id) read(id, 0, kPiece);
  EXPECT_TRUE(copying());
  Later<PeerHandle> lost;
  node_->on_peer_lost(lost.setter());
  fake_.reset();
  lost.get();
  Later<bool> gone = unregister(segment_);
  node_.drain();
  EXPECT_FALSE(gone.ready());
  SimulatedCuda::hold(false);
  EXPECT_TRUE(gone.get());
  segment_ = *node_->register_memory(gpu_->span(), MemoryKind::kCuda, Access::kReadWrite);
  expect_serving();
}

TEST_F(CudaFaults, ReadThatIsGivenUpIsAnsweredAtOnce) {
  meet();
  SimulatedCuda::hold(true);
  read(1, 0, kPiece);
  EXPECT_TRUE(copying());
  fake_.send({.kind = FrameKind::kCancel, .request_id = 1});
  const FakePeer::Frame done = fake_.receive(FrameKind::kDone);
  EXPECT_EQ(done.header.argument, static_cast<std::uint32_t>(Code::kCancelled));
  read(1, kPiece, kPiece);  // the same id again, while the device is at the first
  SimulatedCuda::hold(false);
  const FakePeer::Frame data = fake_.receive(FrameKind::kData);
  ASSERT_EQ(data.payload.size(), kPiece);
  EXPECT_EQ(std::memcmp(data.payload.data(), noise(kBytes, 1).data() + kPiece, kPiece), 0);
}

TEST_F(CudaFaults, AnswerThatIsUnderWayOutlivesItsSegment) {
  meet();
  read(1, 0, kStagingSlotBytes);
  EXPECT_EQ(fake_.receive_header().header.kind, FrameKind::kData);
  EXPECT_TRUE(unregister(segment_).get());  // the bytes are in the slot
  gpu_->put(noise(kBytes, 2));
  std::vector<std::byte> bytes(kStagingSlotBytes);
  ASSERT_TRUE(fake_.receive_bytes(bytes));
  EXPECT_EQ(std::memcmp(bytes.data(), noise(kBytes, 1).data(), bytes.size()), 0);
}

TEST_F(CudaFaults, ConnectionIsFencedOnlyWhenNothingOfItCanReachTheDevice) {
  meet();
  meet_again();
  SimulatedCuda::hold(true);
  write(second_, 5, 0, kPiece, 'x');
  EXPECT_TRUE(copying());
  fake_.send({.kind = FrameKind::kFence, .request_id = second_.hello().connection});
  fake_.send({.kind = FrameKind::kCall, .request_id = 6, .argument = kEcho}, "ping");
  EXPECT_EQ(fake_.receive(FrameKind::kReply).header.request_id, 6u);  // and not fenced before
  SimulatedCuda::hold(false);
  EXPECT_EQ(fake_.receive(FrameKind::kFenced).header.request_id, second_.hello().connection);
  EXPECT_EQ(gpu_->get()[0], std::byte{'x'});
}

TEST_F(CudaFaults, DeviceThatIsLostFailsItsBatchesAndNotTheEngine) {
  std::vector<std::byte> local(kBytes);
  static_cast<void>(*node_->register_memory(local, Access::kNone));
  SimulatedCuda::hold(true);
  const TransferRequest request{.op = Op::kRead, .local = local, .segment = segment_, .offset = 0};
  Later<Status> done;
  node_->submit(node_.peer(node_), std::span(&request, 1), soon(), std::nullopt, done.setter());
  EXPECT_TRUE(copying());
  SimulatedCuda::lose(true);
  const Status status = done.get();
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_THAT(status.message(), testing::HasSubstr("CUDA_ERROR_ILLEGAL_ADDRESS"));
  EXPECT_TRUE(unregister(segment_).get());
  TestNode other({.enable_shm = false});
  EXPECT_EQ(*other.ask(node_, kEcho, "hello"), "hello");
}

TEST_F(CudaFaults, DeadlineInMidCopyHoldsTheMemoryUntilTheDeviceLetsGo) {
  TestNode other({.enable_shm = false});
  std::vector<std::byte> far(kBytes);
  const SegmentHandle segment = *other->register_memory(far, Access::kReadWrite);
  ASSERT_TRUE(node_.ask(other, 1, "").status().code() == Code::kUnsupported);  // connected
  SimulatedCuda::hold(true);
  const TransferRequest request{.op = Op::kWrite, .local = gpu_->span(), .segment = segment, .offset = 0};
  Later<Status> done;
  node_->submit(node_.peer(other), std::span(&request, 1), in(Millis(50)), std::nullopt, done.setter());
  EXPECT_TRUE(copying());
  EXPECT_FALSE(done.wait_until(in(Millis(150))));
  SimulatedCuda::hold(false);
  EXPECT_EQ(done.get().code(), Code::kDeadlineExceeded);
}

TEST_F(CudaFaults, PeerThatIsLostWhileWeStageFailsTheBatchWhenTheDeviceLetsGo) {
  auto other = std::make_unique<TestNode>(TransferConfig{.enable_shm = false});
  std::vector<std::byte> far(kBytes);
  const SegmentHandle segment = *(*other)->register_memory(far, Access::kReadWrite);
  ASSERT_TRUE(node_.ask(*other, 1, "").status().code() == Code::kUnsupported);
  SimulatedCuda::hold(true);
  const TransferRequest request{.op = Op::kWrite, .local = gpu_->span(), .segment = segment, .offset = 0};
  Later<Status> done;
  Later<PeerHandle> lost;
  node_->on_peer_lost(lost.setter());
  node_->submit(node_.peer(*other), std::span(&request, 1), soon(), std::nullopt, done.setter());
  EXPECT_TRUE(copying());
  other.reset();
  lost.get();
  EXPECT_FALSE(done.ready());
  Later<bool> gone = unregister(segment_);
  SimulatedCuda::hold(false);
  EXPECT_EQ(done.get().code(), Code::kPeerLost);
  EXPECT_TRUE(gone.get());
}

TEST_F(CudaFaults, PeerThatDoesNotReadItsAnswersKeepsNobodyFromTheDevice) {
  meet();
  for (std::uint64_t id = 1; id <= 30; ++id) read(id, 0, kStagingSlotBytes);
  EXPECT_EQ(fake_.receive_header().header.kind, FrameKind::kData);  // and no byte more
  TestNode other({.enable_shm = false});
  std::vector<std::byte> local(kBytes);
  static_cast<void>(*other->register_memory(local, Access::kNone));
  const TransferRequest request{.op = Op::kRead, .local = local, .segment = segment_, .offset = 0};
  ASSERT_TRUE(other->submit_and_wait(other.peer(node_), std::span(&request, 1), soon()).ok());
  EXPECT_TRUE(local == noise(kBytes, 1));
  EXPECT_TRUE(unregister(segment_).get());
}

/// A peer on this host that holds grants, or lies about them.
class CudaShmFaults : public CudaFaults {
 protected:
  CudaShmFaults() : near_({.node_name = "near"}) {}
  void SetUp() override {
    CudaFaults::SetUp();
    if (IsSkipped()) return;
    segment_ = *near_->register_memory(gpu_->span(), MemoryKind::kCuda, Access::kReadWrite);
    fake_.hello().epoch = ~std::uint64_t{0};
    fake_.hello().shm_socket = "nobody-dials-this";
    fake_.dial(near_->name());
    fake_.greet_as_neighbour();
    second_.hello() = fake_.hello();
    second_.hello().role = ConnectionRole::kShm;
    second_.hello().connection = fake_.hello().connection + 2;
    second_.dial_unix(fake_.engine_hello().shm_socket);
    second_.greet();
    EXPECT_EQ(second_.receive().header.kind, FrameKind::kShmProbe);
    second_.send({.kind = FrameKind::kShmReady, .argument = 0});
  }
  void ask(std::uint64_t id, std::size_t bytes) {
    second_.send({.kind = FrameKind::kShmGrant, .request_id = id},
                 range_payload({.segment = segment_, .offset = 0, .length = bytes}));
  }

  TestNode near_;
};

TEST_F(CudaShmFaults, GrantsThatAreNeverReleasedKeepNobodyFromTheDevice) {
  for (std::uint64_t id = 1; id <= 20; ++id) ask(id, kPiece);
  EXPECT_FALSE(second_.receive(FrameKind::kShmGranted).end);
  TestNode other;
  std::vector<std::byte> local(kBytes);
  static_cast<void>(*other->register_memory(local, Access::kNone));
  const TransferRequest request{.op = Op::kRead, .local = local, .segment = segment_, .offset = 0};
  ASSERT_TRUE(other->submit_and_wait(other.peer(near_), std::span(&request, 1), soon()).ok());
  EXPECT_TRUE(local == noise(kBytes, 1));
  Later<bool> gone;
  ASSERT_TRUE(near_->unregister_memory(segment_, [set = gone.setter()] { set(true); }).ok());
  EXPECT_TRUE(gone.get());  // what is granted is in slots; what waited is refused
}

TEST_F(CudaShmFaults, ReleaseBeforeTheGrantEndsThePeer) {
  SimulatedCuda::hold(true);
  ask(1, kPiece);
  EXPECT_TRUE(copying());
  second_.send({.kind = FrameKind::kShmRelease, .request_id = 1, .argument = 1});
  EXPECT_EQ(second_.receive_close().code(), Code::kCorrupt);
  SimulatedCuda::hold(false);
  Later<bool> gone;
  ASSERT_TRUE(near_->unregister_memory(segment_, [set = gone.setter()] { set(true); }).ok());
  EXPECT_TRUE(gone.get());
}

TEST_F(CudaShmFaults, PathThatBothHaveGivenUpIsFencedOnlyWhenNothingOfItCanReachTheDevice) {
  near_.serve_echo(kEcho);
  const std::string source(kPiece, 'x');
  SimulatedCuda::hold(true);
  second_.send({.kind = FrameKind::kShmPull, .request_id = 3},
               pull_payload({.segment = segment_, .offset = 0, .length = kPiece},
                            {.pool = 0, .at = std::bit_cast<std::uint64_t>(source.data()), .length = kPiece}));
  EXPECT_TRUE(copying());
  second_.reset();
  const std::uint64_t path = fake_.receive(FrameKind::kFence).header.request_id;
  fake_.send({.kind = FrameKind::kFenced, .request_id = path}, std::string(8, '\0'));
  fake_.send({.kind = FrameKind::kFence, .request_id = path});
  fake_.send({.kind = FrameKind::kCall, .request_id = 6, .argument = kEcho}, "ping");
  EXPECT_EQ(fake_.receive(FrameKind::kReply).header.request_id, 6u);  // and not fenced before
  SimulatedCuda::hold(false);
  EXPECT_EQ(fake_.receive(FrameKind::kFenced).header.request_id, path);
  EXPECT_EQ(gpu_->get()[0], std::byte{'x'});
}

TEST_F(CudaShmFaults, RangesThatFitNoSlotAreRefused) {
  ask(1, kStagingSlotBytes + 1);
  EXPECT_EQ(second_.receive(FrameKind::kDone).header.argument, static_cast<std::uint32_t>(Code::kUnsupported));
  ask(2, kBytes + 1);
  EXPECT_EQ(second_.receive(FrameKind::kDone).header.argument, static_cast<std::uint32_t>(Code::kOutOfRange));
}

TEST_F(CudaFaults, FilesAndDevicesMeetInTheRing) {
  TempFolder folder;
  const SegmentHandle file = *node_->register_file(folder.file("blocks"), {.writable = true, .bytes = kBytes});
  TransferRequest request{.op = Op::kWrite, .local = gpu_->span(), .segment = file, .offset = 0};
  ASSERT_TRUE(node_->submit_and_wait(node_.peer(node_), std::span(&request, 1), soon()).ok());
  gpu_->put(noise(kBytes, 2));
  request.op = Op::kRead;
  ASSERT_TRUE(node_->submit_and_wait(node_.peer(node_), std::span(&request, 1), soon()).ok());
  EXPECT_TRUE(gpu_->get() == noise(kBytes, 1));
}

}  // namespace
}  // namespace mooncake::transfer
