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
  std::string sealed(const FrameHeader& header, std::string payload) {
    return flat(OutFrame::make(header, {}, std::move(payload)));
  }
  /// A sealed write, whose data no MAC covers.
  std::string sealed_write(const BulkRange& range, std::string_view data) {
    std::array<std::byte, kRangeBytesMax> room;
    return flat(
        OutFrame::make({.kind = FrameKind::kWrite, .request_id = 1}, encode_range(range, room), {}, as_bytes(data)));
  }
  /// Takes a frame of the engine's, whose MAC must be right.
  Frame receive_sealed() {
    Frame frame = receive_any_header();
    if (frame.end) return frame;
    Mac mac;
    receive_bytes(mac);
    receive_payload(frame);
    const bool bulk = frame.header.kind == FrameKind::kData;
    EXPECT_EQ(mac, theirs_->compute(their_number_++, encode_header(frame.header),
                                    bulk ? ConstByteSpan() : as_bytes(frame.payload)));
    if (frame.header.kind == FrameKind::kJoined) return receive_sealed();  // the first on every connection
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

  /// Reads to the end of the stream, which must come.
  bool is_cut_off() {
    std::byte last{};
    int left = 1 << 20;
    while (left > 0 && receive_bytes(ByteSpan(&last, 1))) --left;
    return left > 0;
  }

  std::string flat(OutFrame frame) {
    frame.seal();
    frame.put_mac(*mac_, number_++);
    return text(ConstByteSpan(frame.head).first(frame.head_bytes)) + frame.payload + text(frame.borrowed);
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
  const auto label = [](TestNode& node) { return node->call_stats().at(0).peer; };
  EXPECT_EQ(label(service), "tenant blue") << "whatever names a tenant's processes say";
  EXPECT_EQ(label(same), "client") << "of the same tenant";
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
    EXPECT_TRUE(thief.is_cut_off());
  }
  EXPECT_TRUE(service->stats().empty());
}

/// Whatever endpoint it says it listens at, and whether or not the service is connected.
TEST_F(MacEngines, TenantIsAnsweredAndCalledByItsHandleAndNeverFoundByAServicesName) {
  for (const bool connected : {true, false}) {
    TestNode service(cluster("service"));
    TestNode other(cluster("other"));
    other.serve_echo(kEcho);
    if (connected) {
      EXPECT_EQ(*service.ask(other, kEcho, "hello"), "hello");
    }
    Later<PeerHandle> tenant;
    service->serve(kCount, [set = tenant.setter()](PeerHandle from, std::string, Responder responder) {
      responder.reply(std::string("yes"));
      set(from);
    });
    MacPeer thief;
    thief.hello().tenant = "blue";
    thief.hello().listen = other->name();
    thief.enter(service->name(), tenant_key(kSecret, "blue"));
    thief.send_raw(thief.sealed({.kind = FrameKind::kCall, .request_id = 1, .argument = kCount}, ""));
    EXPECT_EQ(thief.receive_sealed().payload, "yes");
    const PeerHandle handle = tenant.get();
    EXPECT_NE(service.peer(other), handle);
    EXPECT_EQ(*service.ask(other, kEcho, "hello"), "hello");
    service->call(handle, kEcho, "of tenants", soon(), [](const Result<std::string>&) {});
    EXPECT_EQ(thief.receive_sealed().payload, "of tenants");
  }
}

/// Two who hold different keys cannot be one peer, whatever epoch they say.
TEST_F(MacEngines, EpochOfAnotherTenantCannotBeJoined) {
  TestNode service(cluster("service"));
  const std::string red_key = tenant_key(kSecret, "red");
  MacPeer blue;
  blue.hello().tenant = "blue";
  blue.enter(service->name(), tenant_key(kSecret, "blue"));
  MacPeer red;
  red.hello() = blue.hello();
  red.hello().tenant = "red";
  red.enter(service->name(), red_key);
  const Status status = red.receive_sealed_close();
  EXPECT_EQ(status.code(), Code::kPermissionDenied) << status.to_string();
}

/// Peers that hold the key, and a service that counts what reaches it.
class MacFaults : public MacEngines {
 protected:
  MacFaults() : service_(cluster("service")) {
    service_->serve(kCount, [this](PeerHandle, std::string payload, Responder responder) {
      ++calls_;
      responder.reply(std::move(payload));
    });
  }

  MacPeer& enter() {
    peers_.push_back(std::make_unique<MacPeer>());
    peers_.back()->enter(service_->name(), kSecret);
    return *peers_.back();
  }
  static FrameHeader call(std::uint64_t id) { return {.kind = FrameKind::kCall, .request_id = id, .argument = kCount}; }
  static void expect_cut_off(MacPeer& peer) {
    const Status status = peer.receive_sealed_close();
    EXPECT_EQ(status.code(), Code::kPermissionDenied) << status.to_string();
    EXPECT_NE(status.message().find("MAC"), std::string::npos) << status.to_string();
  }
  /// The crc32c of a header, which is no secret, made to fit.
  static void fix_crc(std::string& bytes) {
    const std::uint32_t crc = crc32c(as_bytes(bytes).first(28));
    std::memcpy(bytes.data() + 28, &crc, sizeof crc);
  }

  TestNode service_;
  std::atomic<int> calls_ = 0;
  std::vector<std::unique_ptr<MacPeer>> peers_;
};

TEST_F(MacFaults, SealedFramesAreServed) {
  MacPeer& peer = enter();
  for (std::uint64_t id = 1; id <= 3; ++id) {
    peer.send_raw(peer.sealed(call(id), "hello"));
    const FakePeer::Frame reply = peer.receive_sealed();
    EXPECT_EQ(reply.header.kind, FrameKind::kReply);
    EXPECT_EQ(reply.header.request_id, id);
    EXPECT_EQ(reply.payload, "hello");
  }
  EXPECT_EQ(calls_, 3);
}

/// Whoever is between two engines flips a bit: of the header (and mends its checksum), of the MAC, of the message.
TEST_F(MacFaults, AnyChangedByteEndsTheConnectionAndReachesNobody) {
  const std::size_t size = kHeaderBytes + kMacBytes + 5;
  for (std::size_t at = 8; at < size; ++at) {
    if (at >= 16 && at < 24) continue;  // the length: the reader then waits for other bytes, see below
    if (at >= 28 && at < 32) continue;  // the checksum itself
    MacPeer& peer = enter();
    std::string bytes = peer.sealed(call(1), "hello");
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    fix_crc(bytes);
    peer.send_raw(bytes);
    expect_cut_off(peer);
  }
  service_.drain();
  EXPECT_EQ(calls_, 0);
}

TEST_F(MacFaults, ChangedLengthEndsTheConnection) {
  for (const int more : {-1, 1}) {
    MacPeer& peer = enter();
    std::string bytes = peer.sealed(call(1), "hello");
    bytes[16] = static_cast<char>(bytes[16] + more);
    fix_crc(bytes);
    peer.send_raw(bytes + "x");
    expect_cut_off(peer);
  }
  service_.drain();
  EXPECT_EQ(calls_, 0);
}

TEST_F(MacFaults, ReplayedReorderedAndMissingFramesEndTheConnection) {
  MacPeer& again = enter();
  const std::string first = again.sealed(call(1), "hello");
  again.send_raw(first + first);
  expect_cut_off(again);
  service_.drain();
  EXPECT_EQ(calls_, 1);

  MacPeer& swapped = enter();
  const std::string one = swapped.sealed(call(1), "hello");
  swapped.send_raw(swapped.sealed(call(2), "hello") + one);
  expect_cut_off(swapped);

  MacPeer& missing = enter();
  missing.sealed(call(1), "hello");
  missing.send_raw(missing.sealed(call(2), "hello"));
  expect_cut_off(missing);
  service_.drain();
  EXPECT_EQ(calls_, 1);
}

TEST_F(MacFaults, FramesOfAnotherConnectionEndTheConnection) {
  MacPeer& a = enter();
  MacPeer& b = enter();
  b.send_raw(a.sealed(call(1), "hello"));
  expect_cut_off(b);
  service_.drain();
  EXPECT_EQ(calls_, 0);
}

/// An unsealed frame: its payload is taken for the MAC.
TEST_F(MacFaults, FramesWithoutMacEndTheConnection) {
  MacPeer& peer = enter();
  peer.send(call(1), std::string(40, 'x'));
  peer.send_raw(std::string(kMacBytes, 'x'));
  expect_cut_off(peer);
  service_.drain();
  EXPECT_EQ(calls_, 0);
}

TEST_F(MacFaults, ChangedRangeOfAWriteTouchesNoByte) {
  std::vector<std::byte> memory = noise(1 << 16, 3);
  const std::vector<std::byte> before = memory;
  const SegmentHandle segment = *service_->register_memory(memory, Access::kReadWrite);
  for (const std::size_t at : {0u, 8u, 16u, 24u}) {
    MacPeer& peer = enter();
    std::string bytes = peer.sealed_write({.segment = segment, .offset = 64, .length = 16}, "0123456789abcdef");
    bytes[kHeaderBytes + kMacBytes + at] = static_cast<char>(bytes[kHeaderBytes + kMacBytes + at] ^ 4);
    peer.send_raw(bytes);
    expect_cut_off(peer);
  }
  EXPECT_EQ(memory, before);
  MacPeer& honest = enter();
  honest.send_raw(honest.sealed_write({.segment = segment, .offset = 64, .length = 16}, "0123456789abcdef"));
  EXPECT_EQ(honest.receive_sealed().header.kind, FrameKind::kDone);
  EXPECT_EQ(0, std::memcmp(memory.data() + 64, "0123456789abcdef", 16));
}

TEST_F(MacFaults, ProofOfAnotherConnectionIsRefused) {
  MacPeer& witness = enter();
  MacPeer thief;
  thief.hello() = witness.hello();
  thief.dial(service_->name());
  thief.greet_with(std::string(40, 'x'));
  thief.prove(witness.session().dialer.proof);
  EXPECT_TRUE(thief.is_cut_off());
}

/// The engine's own proof, sent back to it: made with the right key, of the wrong side.
TEST_F(MacFaults, ReflectedProofIsRefused) {
  MacPeer thief;
  thief.dial(service_->name());
  thief.greet_with(std::string(40, 'x'));
  const FakePeer::Frame theirs = thief.receive(FrameKind::kProof);
  thief.send({.kind = FrameKind::kProof}, theirs.payload);
  EXPECT_TRUE(thief.is_cut_off());
}

TEST_F(MacFaults, StrangersAreGivenNoMemory) {
  MacPeer thief;
  thief.dial(service_->name());
  thief.greet_with(kSecret);
  const OutFrame huge = OutFrame::make(call(1), {}, std::string(kMessageBytesMax, 'x'));
  thief.send_raw(MacPeer::text(ConstByteSpan(huge.head).first(huge.head_bytes)));  // and waits for the rest
  EXPECT_TRUE(thief.is_cut_off());
}

TEST_F(MacFaults, NothingIsServedBeforeTheProof) {
  MacPeer thief;
  thief.dial(service_->name());
  thief.greet_with(kSecret);
  thief.send(call(1), "hello");
  EXPECT_TRUE(thief.is_cut_off());
  service_.drain();
  EXPECT_EQ(calls_, 0);
}

}  // namespace
}  // namespace mooncake::transfer
