// What a peer may ask for at once, and who may come in: more is refused, and what is let go of makes room.
#include <sys/syscall.h>
#include <unistd.h>

#include <mutex>
#include <thread>

#include "transfer/fake_peer.h"
#include "transfer/remote_peer.h"
#include "transfer/test_node.h"

namespace mooncake::transfer {
namespace {

constexpr std::uint16_t kEcho = 900;
constexpr std::uint16_t kLater = 901;

/// A node with a method that does not answer before it is told to, and its peer.
class AskedAtOnce : public testing::TestWithParam<FrameKind> {
 protected:
  AskedAtOnce() : node_({.node_name = "node", .enable_shm = false}) {
    node_.serve_echo(kEcho);
    node_->serve(kLater, [this](PeerHandle, std::string, Responder responder) {
      const std::scoped_lock lock(mutex_);
      kept_.push_back(std::move(responder));
    });
    fake_.dial(node_->name());
    fake_.greet();
  }
  void ask(std::uint64_t id, std::size_t bytes) {
    fake_.send({.kind = GetParam(), .request_id = id, .argument = kLater}, std::string(bytes, 'm'));
  }
  std::size_t kept() {
    const std::scoped_lock lock(mutex_);
    return kept_.size();
  }
  void let_go() {
    std::vector<Responder> responders;
    const std::scoped_lock lock(mutex_);
    responders.swap(kept_);
  }
  /// Asks for one more than `most`, each of `bytes`, then for as many again when those are answered.
  void exceed(std::size_t most, std::size_t bytes) {
    for (std::uint64_t id = 1; id <= 2 * (most + 1); id += most + 1) {
      for (std::uint64_t i = 0; i <= most; ++i) ask(id + i, bytes);
      const FakePeer::Frame refused = fake_.receive(FrameKind::kReply);
      EXPECT_EQ(refused.header.request_id, id + most);
      EXPECT_EQ(decode_status(refused.header.argument, refused.payload).code(), Code::kExhausted);
      EXPECT_TRUE(eventually([&] { return kept() == most; }));
      let_go();
      for (std::size_t i = 0; i < most; ++i) ASSERT_FALSE(fake_.receive(FrameKind::kReply).end);
    }
  }

  std::mutex mutex_;
  std::vector<Responder> kept_;
  TestNode node_;
  FakePeer fake_;
};

INSTANTIATE_TEST_SUITE_P(Kinds, AskedAtOnce, testing::Values(FrameKind::kCall, FrameKind::kNotify),
                         [](const auto& kind) { return std::string(frame_kind_name(kind.param)); });

TEST_P(AskedAtOnce, BytesAreLimited) { exceed(kAnsweringBytesMax / kMessageBytesMax, kMessageBytesMax); }

TEST_P(AskedAtOnce, NumberIsLimited) { exceed(kAnsweringMax, 1); }

// Names of abstract sockets are open to every user of the host.
TEST(UnixSocket, ProcessOfAnotherUserGetsNoWord) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  TestNode node({.node_name = "node"});
  FakePeer fake;
  fake.dial(node->name());
  fake.greet_as_neighbour();
  const std::string socket = fake.engine_hello().shm_socket;
  ASSERT_FALSE(socket.empty());
  FakePeer stranger;
  std::thread([&] {
    ASSERT_EQ(::syscall(SYS_setresuid, -1, 65534, -1), 0);  // of this thread alone, unlike seteuid()
    stranger.dial_unix(socket);
  }).join();
  EXPECT_TRUE(stranger.receive().end);
}

}  // namespace
}  // namespace mooncake::transfer
