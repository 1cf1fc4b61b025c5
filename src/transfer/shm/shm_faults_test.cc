// The shm transport against a peer that holds grants, names memory it should not, or passes the wrong descriptors.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <unistd.h>

#include "transfer/fake_peer.h"
#include "transfer/test_node.h"

namespace mooncake::transfer {
namespace {

constexpr std::size_t kBytes = 1 << 20;
constexpr std::uint16_t kEcho = 900;
using Op = TransferRequest::Op;

class ShmFaults : public testing::Test {
 protected:
  ShmFaults() : node_({.node_name = "node"}), memory_(*node_->allocate_shared(kBytes)) {}

  /// Makes the fake a peer on this host, with a unix socket of its own making: the larger epoch dials it.
  void meet() { meet(node_.engine()); }
  void meet(const TransferEngine& engine) {
    tcp_.hello().epoch = ~std::uint64_t{0};
    tcp_.hello().shm_socket = "nobody-dials-this";
    tcp_.dial(engine.name());
    tcp_.greet_as_neighbour();
    unix_.hello() = tcp_.hello();
    unix_.hello().role = ConnectionRole::kShm;
    unix_.dial_unix(tcp_.engine_hello().shm_socket);
    unix_.greet();
    EXPECT_EQ(unix_.receive().header.kind, FrameKind::kShmProbe);
    unix_.send({.kind = FrameKind::kShmReady, .argument = 0});
  }
  Later<bool> unregister(SegmentHandle segment) {
    Later<bool> gone;
    EXPECT_TRUE(node_->unregister_memory(segment, [set = gone.setter()] { set(true); }).ok());
    return gone;
  }
  /// Asks the fake; one slice.
  Later<Status> submit(Op op, ByteSpan local) {
    Later<Status> done;
    const TransferRequest request{.op = op, .local = local, .segment = {0, 1}, .offset = 0};
    node_->submit(*node_->connect(tcp_.name()), std::span(&request, 1), soon(), std::nullopt, done.setter());
    return done;
  }
  /// A call that the fake makes by tcp, as it is sent.
  static std::string echo_call() {
    return flat(OutFrame::make({.kind = FrameKind::kCall, .request_id = 77, .argument = kEcho}, {}, "ping"));
  }
  static std::string flat(const OutFrame& frame) {
    return std::string(reinterpret_cast<const char*>(frame.head.data()), frame.head_bytes) + frame.payload;
  }
  void expect_serving() {
    TestNode other;
    node_.serve_echo(kEcho);
    EXPECT_EQ(*other.ask(node_, kEcho, "hello"), "hello");
  }
  static std::string pair_payload(std::uint64_t first, std::uint64_t second) {
    std::string payload(16, '\0');
    store_le(reinterpret_cast<std::byte*>(payload.data()), first);
    store_le(reinterpret_cast<std::byte*>(payload.data()) + 8, second);
    return payload;
  }

  FakePeer tcp_;
  FakePeer unix_;
  TestNode node_;
  ByteSpan memory_;
};

TEST_F(ShmFaults, GrantHoldsTheSegmentUntilItIsReleased) {
  const SegmentHandle segment = *node_->register_memory(memory_, Access::kRead);
  meet();
  unix_.send({.kind = FrameKind::kShmGrant, .request_id = 1}, range_payload({segment, 0, kBytes}));
  EXPECT_EQ(unix_.receive(FrameKind::kShmGranted).header.request_id, 1u);
  Later<bool> gone = unregister(segment);
  node_.drain();
  EXPECT_FALSE(gone.ready());
  unix_.send({.kind = FrameKind::kShmRelease, .request_id = 1, .argument = 1});
  EXPECT_TRUE(gone.get());
}

TEST_F(ShmFaults, LostPeerReleasesItsGrants) {
  const SegmentHandle segment = *node_->register_memory(memory_, Access::kRead);
  meet();
  unix_.send({.kind = FrameKind::kShmGrant, .request_id = 1}, range_payload({segment, 0, kBytes}));
  EXPECT_EQ(unix_.receive(FrameKind::kShmGranted).header.request_id, 1u);
  Later<bool> gone = unregister(segment);
  tcp_.reset();
  EXPECT_TRUE(gone.get());
}

TEST_F(ShmFaults, PeersGetDescriptorsThatCannotWriteOrShrink) {
  const SegmentHandle segment = *node_->register_memory(memory_, Access::kRead);
  meet();
  unix_.send({.kind = FrameKind::kShmGrant, .request_id = 1}, range_payload({segment, 0, kBytes}));
  const UniqueFd pool = unix_.receive_fd();
  ASSERT_TRUE(pool.valid());
  EXPECT_NE(::fcntl(pool.get(), F_GET_SEALS) & F_SEAL_SHRINK, 0);
  EXPECT_EQ(::fcntl(pool.get(), F_GETFL) & O_ACCMODE, O_RDONLY);
  EXPECT_EQ(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, pool.get(), 0), MAP_FAILED);
}

TEST_F(ShmFaults, PullFromAnAddressThatIsNotThereIsAnError) {
  const SegmentHandle segment = *node_->register_memory(memory_, Access::kWrite);
  meet();
  unix_.send({.kind = FrameKind::kShmPull, .request_id = 3},
             pull_payload({segment, 0, 4096}, {.pool = 0, .at = 8, .length = 4096}));
  const FakePeer::Frame done = unix_.receive(FrameKind::kDone);
  EXPECT_EQ(done.header.request_id, 3u);
  EXPECT_NE(done.header.argument, 0u);
  EXPECT_TRUE(std::ranges::all_of(memory_, [](std::byte b) { return b == std::byte{0}; }));
}

TEST_F(ShmFaults, PullFromAPoolThatWasNotAnnouncedAsksForAnotherTransport) {
  const SegmentHandle segment = *node_->register_memory(memory_, Access::kWrite);
  meet();
  unix_.send({.kind = FrameKind::kShmPull, .request_id = 3},
             pull_payload({segment, 0, 4096}, {.pool = 9, .at = 0, .length = 4096}));
  EXPECT_EQ(unix_.receive(FrameKind::kDone).header.flags, kFlagOtherTransport);
}

TEST_F(ShmFaults, SourceOutsideItsPoolIsRefused) {
  const SegmentHandle segment = *node_->register_memory(memory_, Access::kWrite);
  meet();
  UniqueFd pool(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(pool.get(), 8192), 0);
  ASSERT_EQ(::fcntl(pool.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
  unix_.send_with_fd({.kind = FrameKind::kShmPool}, pair_payload(1, 8192), pool.get());
  std::uint64_t id = 1;
  for (const std::uint64_t at :
       {std::uint64_t{8192}, std::uint64_t{4097}, ~std::uint64_t{0}, ~std::uint64_t{0} - 4095}) {
    const std::string payload = pull_payload({segment, 0, 4096}, {.pool = 1, .at = at, .length = 4096});
    unix_.send({.kind = FrameKind::kShmPull, .request_id = id++}, payload);
    EXPECT_EQ(unix_.receive(FrameKind::kDone).header.argument, static_cast<std::uint32_t>(Code::kOutOfRange)) << at;
  }
}

TEST_F(ShmFaults, PoolThatCouldShrinkUnderUsEndsThePeer) {
  meet();
  const UniqueFd pool(::memfd_create("test", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(pool.get(), 8192), 0);
  unix_.send_with_fd({.kind = FrameKind::kShmPool}, pair_payload(1, 8192), pool.get());
  EXPECT_EQ(unix_.receive_close().code(), Code::kCorrupt);
  expect_serving();
}

TEST_F(ShmFaults, PoolThatIsSmallerThanAnnouncedEndsThePeer) {
  meet();
  const UniqueFd pool(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(pool.get(), 4096), 0);
  ASSERT_EQ(::fcntl(pool.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
  unix_.send_with_fd({.kind = FrameKind::kShmPool}, pair_payload(1, 8192), pool.get());
  EXPECT_EQ(unix_.receive_close().code(), Code::kCorrupt);
}

TEST_F(ShmFaults, PoolWithoutADescriptorEndsThePeer) {
  meet();
  unix_.send({.kind = FrameKind::kShmPool}, pair_payload(1, 8192));
  EXPECT_EQ(unix_.receive_close().code(), Code::kCorrupt);
}

/// Else the batch would end while the connection still sends from its memory.
TEST_F(ShmFaults, WriteByTcpThatIsAnsweredOnTheUnixSocketEndsThePeer) {
  std::vector<std::byte> outside = noise(kBytes, 1);  // of shared pools
  static_cast<void>(*node_->register_memory(outside, Access::kNone));
  meet();
  Later<Status> done = submit(Op::kWrite, outside);
  const std::uint64_t id = tcp_.receive(FrameKind::kWrite).header.request_id;
  unix_.send({.kind = FrameKind::kDone, .request_id = id});
  EXPECT_EQ(unix_.receive_close().code(), Code::kCorrupt);
  EXPECT_EQ(done.get().code(), Code::kPeerLost);
}

TEST_F(ShmFaults, ReadByShmThatIsAnsweredByTcpEndsThePeer) {
  static_cast<void>(*node_->register_memory(memory_, Access::kNone));
  for (const FrameKind kind : {FrameKind::kData, FrameKind::kDone}) {
    meet();
    Later<Status> done = submit(Op::kRead, memory_.first(4096));
    const std::uint64_t id = unix_.receive(FrameKind::kShmGrant).header.request_id;
    tcp_.send({.kind = kind, .request_id = id}, std::string(kind == FrameKind::kData ? 4096 : 0, 'x'));
    EXPECT_EQ(tcp_.receive_close().code(), Code::kCorrupt);
    EXPECT_EQ(done.get().code(), Code::kPeerLost);
  }
  EXPECT_TRUE(std::ranges::all_of(memory_, [](std::byte b) { return b == std::byte{0}; }));
}

TEST_F(ShmFaults, DataThatBeganBeforeItsIdWasGivenToAReadDoesNotEndIt) {
  static_cast<void>(*node_->register_memory(memory_, Access::kNone));
  node_.serve_echo(kEcho);
  meet();
  const auto fail_by_shm = [&](std::uint64_t id) {
    unix_.send({.kind = FrameKind::kDone, .request_id = id, .argument = static_cast<std::uint32_t>(Code::kStale)});
  };
  Later<Status> first = submit(Op::kRead, memory_.first(4096));
  const std::uint64_t id = unix_.receive(FrameKind::kShmGrant).header.request_id;
  fail_by_shm(id);
  EXPECT_EQ(first.get().code(), Code::kStale);

  const OutFrame data = OutFrame::make({.kind = FrameKind::kData, .request_id = id + 1}, {}, std::string(4096, 'x'));
  const std::string bytes = flat(data);
  tcp_.send_raw(echo_call() + bytes.substr(0, 2048));
  ASSERT_EQ(tcp_.receive(FrameKind::kReply).payload, "ping");  // and so the data has begun
  Later<Status> second = submit(Op::kRead, memory_.first(4096));
  ASSERT_EQ(unix_.receive(FrameKind::kShmGrant).header.request_id, id + 1);
  tcp_.send_raw(bytes.substr(2048) + echo_call());
  ASSERT_EQ(tcp_.receive(FrameKind::kReply).payload, "ping");  // and so it has ended
  fail_by_shm(id + 1);
  EXPECT_EQ(second.get().code(), Code::kStale);
}

/// The owner hangs up, and only then lets its memory be used for something else. An engine that learns of neither
/// before it copies must not take what it copies for what it asked.
TEST_F(ShmFaults, ReadOfMemoryWhoseOwnerHasHungUpIsNotTakenForDoneAndGoesAnotherWay) {
  // Without an executor handlers run on the loop, and can keep it from looking at its sockets.
  const std::unique_ptr<TransferEngine> engine = std::move(*TransferEngine::create({.node_name = "engine"}));
  std::promise<void> held;
  std::promise<void> go;
  engine->serve(kEcho, [&, until = go.get_future().share()](PeerHandle, std::string, Responder) {
    held.set_value();
    until.wait_until(soon());
  });
  std::vector<std::byte> memory(4096);
  static_cast<void>(*engine->register_memory(memory, Access::kNone));
  meet(*engine);
  const UniqueFd pool(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(pool.get(), 4096), 0);
  ASSERT_EQ(::fcntl(pool.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
  unix_.send_with_fd({.kind = FrameKind::kShmPool}, pair_payload(1, 4096), pool.get());
  Later<Status> done;
  const TransferRequest read{.op = Op::kRead, .local = memory, .segment = {0, 1}, .offset = 0};
  engine->submit(*engine->connect(tcp_.name()), std::span(&read, 1), soon(), std::nullopt, done.setter());
  const std::uint64_t id = unix_.receive(FrameKind::kShmGrant).header.request_id;

  tcp_.send_raw(echo_call());
  held.get_future().wait_until(soon());
  std::array<std::byte, kSourceBytes> source;
  encode_source({.pool = 1, .at = 0, .length = 4096}, source);
  unix_.send({.kind = FrameKind::kShmGranted, .request_id = id},
             {reinterpret_cast<const char*>(source.data()), source.size()});
  unix_.reset();
  const std::string reused(4096, 'x');
  ASSERT_EQ(::pwrite(pool.get(), reused.data(), reused.size(), 0), 4096);
  go.set_value();

  const FakePeer::Frame fence = tcp_.receive(FrameKind::kFence);
  ASSERT_FALSE(fence.end);
  EXPECT_FALSE(done.ready());
  tcp_.send({.kind = FrameKind::kFenced, .request_id = fence.header.request_id}, std::string(8, '\0'));
  EXPECT_EQ(tcp_.receive(FrameKind::kRead).header.request_id, id);
  tcp_.send({.kind = FrameKind::kData, .request_id = id}, std::string(4096, 'n'));
  EXPECT_TRUE(done.get().ok());
  EXPECT_TRUE(std::ranges::all_of(memory, [](std::byte b) { return b == std::byte{'n'}; }));
}

TEST_F(ShmFaults, AnswersThatWereNotAskedForEndThePeer) {
  meet();
  unix_.send({.kind = FrameKind::kShmGranted, .request_id = 5}, std::string(kSourceBytes, '\0'));
  EXPECT_EQ(unix_.receive_close().code(), Code::kCorrupt);
  expect_serving();
}

}  // namespace
}  // namespace mooncake::transfer
