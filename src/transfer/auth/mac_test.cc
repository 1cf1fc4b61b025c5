// AuthMode::kMac between real engines, and against peers that hold the key and break the rules, or do not hold it.
#include <gtest/gtest.h>
#include <sys/uio.h>

#include "base/crc32c.h"
#include "transfer/auth/key_ring.h"
#include "transfer/auth/session.h"
#include "transfer/auth/test_secrets.h"
#include "transfer/fake_peer.h"
#include "transfer/test_node.h"

namespace mooncake::transfer {
namespace {

constexpr std::uint16_t kEcho = 1;
constexpr std::uint16_t kCount = 2;

/// A peer that speaks kMac by hand.
class MacPeer : public FakePeer {
 public:
  MacPeer() { hello().auth = AuthMode::kMac; }

  /// Exchanges hellos after dial(); what both sides derive with `key`.
  void greet_with(std::string_view key) {
    hello().nonce = random_bytes<32>();
    const std::string ours = encode_hello(hello());
    send({.version = kHelloVersion, .kind = FrameKind::kHello}, ours);
    engine_bytes_ = receive().payload;
    session_ = derive_session(as_bytes(key), ours, engine_bytes_);
    mac_ = std::make_unique<FrameMac>(session_.dialer.key);
    theirs_ = std::make_unique<FrameMac>(session_.accepter.key);
  }
  void prove(const Digest& proof) {
    send({.kind = FrameKind::kProof}, std::string(reinterpret_cast<const char*>(proof.data()), proof.size()));
  }
  /// All of it, as it should be: the engine takes us for a peer.
  void enter(const std::string& engine, std::string_view key) {
    dial(engine);
    greet_with(key);
    prove(session_.dialer.proof);
    ASSERT_EQ(receive().payload, text(session_.accepter.proof));
  }
  [[nodiscard]] const Session& session() const { return session_; }

  /// A sealed frame that carries the next number.
  std::string sealed(const FrameHeader& header, std::string payload) { return sealed_as(number_++, header, payload); }
  std::string sealed_as(std::uint64_t number, const FrameHeader& header, const std::string& payload) {
    OutFrame frame = OutFrame::make(header, {}, payload);
    frame.seal();
    frame.put_mac(*mac_, number);
    return std::string(reinterpret_cast<const char*>(frame.head.data()), frame.head_bytes) + payload;
  }
  /// Takes a frame of the engine's, whose MAC must be right.
  Frame receive_sealed() {
    Frame frame = receive_header();
    if (frame.end) return frame;
    Mac mac;
    receive_bytes(mac);
    receive_payload(frame);
    const bool bulk = frame.header.kind == FrameKind::kData;
    EXPECT_EQ(mac, theirs_->compute(their_number_++, encode_header(frame.header),
                                    bulk ? ConstByteSpan() : as_bytes(frame.payload)));
    return frame;
  }
  /// Why the engine closed the connection.
  Status receive_sealed_close() {
    for (;;) {
      const Frame frame = receive_sealed();
      if (frame.end) return {};
      if (frame.header.kind == FrameKind::kClose) return decode_status(frame.header.argument, frame.payload);
    }
  }

  static std::string text(ConstByteSpan bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

 private:
  std::string engine_bytes_;
  Session session_;
  std::unique_ptr<FrameMac> mac_;
  std::unique_ptr<FrameMac> theirs_;
  std::uint64_t number_ = 0;
  std::uint64_t their_number_ = 0;
};

class MacEngines : public testing::Test {
 protected:
  TransferConfig cluster(const std::string& name) { return mac_config(dir_.write("secret", kSecret), name); }
  TransferConfig of_tenant(const std::string& tenant, const std::string& name) {
    return mac_config(dir_.write(tenant, tenant_key(kSecret, tenant)), name, tenant);
  }
  TransferConfig other_secret(const std::string& name) {
    return mac_config(dir_.write("other", std::string(40, 'x')), name);
  }

  SecretDir dir_;
};

TEST_F(MacEngines, HoldersOfOneSecretTalkAndMoveBytes) {
  for (const bool shm : {true, false}) {
    TransferConfig config = cluster("b");
    config.enable_shm = shm;
    TestNode a(cluster("a"));
    TestNode b(config);
    b.serve_echo(kEcho);
    EXPECT_EQ(*a.ask(b, kEcho, "hello"), "hello");
    EXPECT_EQ(*a.ask(b, kEcho, std::string(kMessageBytesMax, 'x')), std::string(kMessageBytesMax, 'x'));

    std::vector<std::byte> mine = noise(5 << 20, 1);
    std::vector<std::byte> theirs(5 << 20);
    ASSERT_TRUE(a->register_memory(mine, Access::kNone).ok());
    const SegmentHandle segment = *b->register_memory(theirs, Access::kReadWrite);
    const TransferRequest write{.op = TransferRequest::Op::kWrite, .local = mine, .segment = segment};
    ASSERT_TRUE(a->submit_and_wait(a.peer(b), std::span(&write, 1), soon()).ok());
    EXPECT_EQ(theirs, mine);
    std::ranges::copy(noise(5 << 20, 2), theirs.begin());
    const TransferRequest read{.op = TransferRequest::Op::kRead, .local = mine, .segment = segment};
    ASSERT_TRUE(a->submit_and_wait(a.peer(b), std::span(&read, 1), soon()).ok());
    EXPECT_EQ(theirs, mine);
    EXPECT_EQ(a->stats().at(0).transport, shm ? "shm" : "tcp");
  }
}

TEST_F(MacEngines, AnotherSecretIsRefusedAtBothSidesWithTheReason) {
  TestNode a(cluster("a"));
  TestNode b(other_secret("b"));
  b.serve_echo(kEcho);
  for (TestNode* from : {&a, &b}) {
    const Status status = from->ask(from == &a ? b : a, kEcho, "hello").status();
    EXPECT_EQ(status.code(), Code::kPermissionDenied) << status.to_string();
    EXPECT_NE(status.message().find("another secret"), std::string::npos) << status.to_string();
    EXPECT_EQ(status.message().find(kSecret), std::string::npos);
  }
}

TEST_F(MacEngines, ModesThatDifferAreNamedAtBothSides) {
  TestNode a(cluster("a"));
  TestNode b;
  for (TestNode* from : {&a, &b}) {
    const Status status = from->ask(from == &a ? b : a, kEcho, "hello").status();
    EXPECT_EQ(status.code(), Code::kPermissionDenied) << status.to_string();
    EXPECT_NE(status.message().find("--auth mac"), std::string::npos) << status.to_string();
    EXPECT_NE(status.message().find("--auth plain"), std::string::npos) << status.to_string();
  }
}

TEST_F(MacEngines, TenantHoldsOnlyItsKeyAndIsServed) {
  TestNode service(cluster("service"));
  service.serve_echo(kEcho);
  TestNode client(of_tenant("blue", "client"));
  TestNode same(of_tenant("blue", "same"));
  same.serve_echo(kEcho);
  EXPECT_EQ(*client.ask(service, kEcho, "hello"), "hello");
  EXPECT_EQ(*client.ask(same, kEcho, "hello"), "hello");
}

TEST_F(MacEngines, TenantsAreStrangersToEachOther) {
  TestNode blue(of_tenant("blue", "blue"));
  TestNode red(of_tenant("red", "red"));
  EXPECT_EQ(blue.ask(red, kEcho, "hello").status().code(), Code::kPermissionDenied);
}

TEST_F(MacEngines, TenantCannotAnswerInPlaceOfAService) {
  TestNode service(cluster("service"));
  TestNode blue(of_tenant("blue", "blue"));
  const Status status = service.ask(blue, kEcho, "hello").status();
  EXPECT_EQ(status.code(), Code::kPermissionDenied) << status.to_string();
}

TEST_F(MacEngines, TenantCannotSayThatItIsAnotherOrTheCluster) {
  TestNode service(cluster("service"));
  for (const std::string tenant : {"", "red"}) {
    MacPeer thief;
    thief.hello().tenant = tenant;
    thief.dial(service->name());
    thief.greet_with(tenant_key(kSecret, "blue"));
    thief.prove(thief.session().dialer.proof);
    static_cast<void>(thief.receive(FrameKind::kProof));
    EXPECT_TRUE(thief.receive().end || true);
    EXPECT_TRUE(service->stats().empty());
  }
}

}  // namespace
}  // namespace mooncake::transfer
