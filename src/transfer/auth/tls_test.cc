// AuthMode::kTls between real engines, with certificates that are right and wrong.
#include <gtest/gtest.h>
#include <poll.h>

#include "transfer/auth/certificate_names.h"
#include "transfer/auth/test_certificates.h"
#include "transfer/auth/tls_stream.h"
#include "transfer/fake_peer.h"
#include "transfer/test_node.h"

namespace mooncake::transfer {
namespace {

constexpr std::uint16_t kEcho = 1;

class TlsEngines : public testing::Test {
 protected:
  static TransferConfig config(const std::string& name, AuthConfig auth) {
    TransferConfig made;
    made.node_name = name;
    made.auth = std::move(auth);
    return made;
  }
  TransferConfig member(const std::string& name) { return config(name, ours_.issue(dir_, name, "DNS:" + name)); }
  TransferConfig member(const std::string& name, const TestAuthority::Odd& odd) {
    return config(name, ours_.issue(dir_, name, "DNS:" + name, odd));
  }

  /// Both sides are told that they are no peers, one of them why, with `text` in it.
  static void expect_refused(TestNode& a, TestNode& b, const std::string& text) {
    const Status one = a.ask(b, kEcho, "hello").status();
    const Status other = b.ask(a, kEcho, "hello").status();
    EXPECT_EQ(one.code(), Code::kPermissionDenied) << one.to_string();
    EXPECT_EQ(other.code(), Code::kPermissionDenied) << other.to_string();
    EXPECT_NE((one.message() + other.message()).find(text), std::string::npos) << one.to_string() << other.to_string();
  }

  SecretDir dir_;
  TestAuthority ours_{"ours"};
};

TEST_F(TlsEngines, MembersTalkAndMoveBytesOverTlsAndNotOverShm) {
  TestNode a(member("a"));
  TestNode b(member("b"));
  b.serve_echo(kEcho);
  EXPECT_EQ(*a.ask(b, kEcho, "hello"), "hello");
  EXPECT_EQ(*a.ask(b, kEcho, std::string(kMessageBytesMax, 'x')), std::string(kMessageBytesMax, 'x'));

  std::vector<std::byte> mine = noise(9'000'001, 1);
  std::vector<std::byte> theirs(mine.size());
  ASSERT_TRUE(a->register_memory(mine, Access::kNone).ok());
  const SegmentHandle segment = *b->register_memory(theirs, Access::kReadWrite);
  const TransferRequest write{.op = TransferRequest::Op::kWrite, .local = mine, .segment = segment};
  ASSERT_TRUE(a->submit_and_wait(a.peer(b), std::span(&write, 1), soon()).ok());
  EXPECT_EQ(theirs, mine);
  std::ranges::copy(noise(theirs.size(), 2), theirs.begin());
  const TransferRequest read{.op = TransferRequest::Op::kRead, .local = mine, .segment = segment};
  ASSERT_TRUE(a->submit_and_wait(a.peer(b), std::span(&read, 1), soon()).ok());
  EXPECT_EQ(theirs, mine);
  EXPECT_EQ(a->stats().at(0).transport, "tcp");
}

TEST_F(TlsEngines, TrustedFabricMayUseShm) {
  TransferConfig config_a = member("a");
  TransferConfig config_b = member("b");
  config_a.auth.trusted_fabric = config_b.auth.trusted_fabric = true;
  TestNode a(config_a);
  TestNode b(config_b);
  std::vector<std::byte> mine = noise(1 << 20, 1);
  std::vector<std::byte> theirs(mine.size());
  ASSERT_TRUE(a->register_memory(mine, Access::kNone).ok());
  const SegmentHandle segment = *b->register_memory(theirs, Access::kReadWrite);
  const TransferRequest write{.op = TransferRequest::Op::kWrite, .local = mine, .segment = segment};
  ASSERT_TRUE(a->submit_and_wait(a.peer(b), std::span(&write, 1), soon()).ok());
  EXPECT_EQ(theirs, mine);
  EXPECT_EQ(a->stats().at(0).transport, "shm");
}

TEST_F(TlsEngines, ManyMessagesAndBatchesAtOnce) {
  TestNode a(member("a"));
  TestNode b(member("b"));
  b.serve_echo(kEcho);
  std::vector<std::byte> mine = noise(32 << 20, 1);
  std::vector<std::byte> theirs(mine.size());
  ASSERT_TRUE(a->register_memory(mine, Access::kNone).ok());
  const SegmentHandle segment = *b->register_memory(theirs, Access::kReadWrite);
  const PeerHandle peer = a.peer(b);
  std::vector<TransferRequest> writes;
  Rng rng(5);
  for (std::size_t at = 0; at < mine.size();) {
    const std::size_t length = std::min<std::size_t>(1 + rng.below(300'000), mine.size() - at);
    writes.push_back({.op = TransferRequest::Op::kWrite,
                      .local = ByteSpan(mine).subspan(at, length),
                      .segment = segment,
                      .offset = at});
    at += length;
  }
  Later<Status> done;
  a->submit(peer, writes, soon(), std::nullopt, done.setter());
  std::vector<Later<Result<std::string>>> answers(500);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    a->call(peer, kEcho, std::string(rng.below(20'000), static_cast<char>('a' + i % 26)), soon(), answers[i].setter());
  }
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const Result<std::string> answer = answers[i].get();
    ASSERT_TRUE(answer.ok()) << answer.status().to_string();
    EXPECT_EQ(answer->find_first_not_of(static_cast<char>('a' + i % 26)), std::string::npos);
  }
  EXPECT_TRUE(done.get().ok());
  EXPECT_EQ(theirs, mine);
}

TEST_F(TlsEngines, AnotherAuthorityIsRefused) {
  TestNode a(member("a"));
  TestNode b(config("b", TestAuthority("theirs").issue(dir_, "b", "DNS:b")));
  expect_refused(a, b, "--tls-ca");
}

TEST_F(TlsEngines, ExpiredCertificateIsRefused) {
  TestNode a(member("a"));
  TestNode b(member("b", {.begins_s = -7200, .ends_s = -3600}));
  expect_refused(a, b, "expired: renew it");
}

TEST_F(TlsEngines, CertificateOfTheFutureIsRefused) {
  TestNode a(member("a"));
  TestNode b(member("b", {.begins_s = 3600, .ends_s = 7200}));
  expect_refused(a, b, "compare the clocks");
}

TEST_F(TlsEngines, CertificateForServersAloneCannotDial) {
  TestNode a(member("a"));
  TestNode b(member("b", {.usage = "serverAuth"}));
  a.serve_echo(kEcho);
  b.serve_echo(kEcho);
  const Status status = b.ask(a, kEcho, "hello").status();
  EXPECT_EQ(status.code(), Code::kPermissionDenied) << status.to_string();
}

TEST_F(TlsEngines, PlainAndTlsAreToldApartAtBothSides) {
  TestNode a(member("a"));
  TestNode b;
  for (TestNode* from : {&a, &b}) {
    const Status status = from->ask(from == &a ? b : a, kEcho, "hello").status();
    EXPECT_EQ(status.code(), Code::kPermissionDenied) << status.to_string();
    EXPECT_NE(status.message().find("TLS"), std::string::npos) << status.to_string();
  }
}

TEST_F(TlsEngines, EngineWhoseOwnCertificateIsNotForItDoesNotStart) {
  const auto engine = TransferEngine::create(config("b", ours_.issue(dir_, "c", "DNS:c,DNS:d.b")));
  EXPECT_EQ(engine.status().code(), Code::kPermissionDenied);
  EXPECT_NE(engine.status().message().find("c, d.b"), std::string::npos) << engine.status().to_string();
}

/// What `engine` says to who holds the certificate of `holder` and says that hello, until it closes the connection.
std::string refusal_of(TestNode& engine, const TransferConfig& holder, const std::string& node_name,
                       const std::string& listen) {
  const std::unique_ptr<TlsContext> context = std::move(*TlsContext::load(holder.auth));
  const std::unique_ptr<TlsStream> stream = std::move(*TlsStream::create(*context, true));
  const UniqueFd socket = std::move(*connect_tcp(*parse_endpoint(engine->name())));
  Hello hello;
  hello.epoch = 7;
  hello.cluster_id = "default";
  hello.node_name = node_name;
  hello.listen = listen;
  hello.auth = AuthMode::kTls;
  hello.connection = 1;
  hello.session = 1;
  const OutFrame frame = OutFrame::make({.kind = FrameKind::kHello}, {}, encode_hello(hello));
  std::string out(reinterpret_cast<const char*>(frame.head.data()), frame.head_bytes);
  out += frame.payload;

  std::string in;
  std::array<std::byte, 4096> room;
  for (;;) {
    const iovec piece{out.data(), out.size()};
    const TlsStream::Step sent = stream->write(socket.get(), std::span(&piece, out.empty() ? 0 : 1));
    out.erase(0, sent.count);
    const TlsStream::Step got = stream->read(socket.get(), room, {});
    in.append(reinterpret_cast<const char*>(room.data()), got.count);
    if (!sent.over.ok() || !got.over.ok()) return in;
    pollfd wait{.fd = socket.get(), .events = POLLIN, .revents = 0};
    if (!got.blocked) continue;
    // What was read may have ended the TLS handshake, and what could not be written before it goes now.
    const int ready = ::poll(&wait, 1, out.empty() ? 20'000 : 10);
    if (out.empty() && ready != 1) return in + " ... and the connection stays";
  }
}

/// A certificate of the cluster, and a hello with somebody else's name.
TEST_F(TlsEngines, NodeCannotSayThatItIsAnother) {
  TestNode a(member("a"));
  const std::string said = refusal_of(a, member("thief"), "node-0", "127.0.0.1:9");
  EXPECT_NE(said.find("is not for node-0"), std::string::npos) << said;
  EXPECT_TRUE(a->stats().empty());
}

TEST_F(TlsEngines, NodeCannotTakeOverTheEndpointOfAnotherThatIsLive) {
  TestNode a(member("a"));
  TestNode b(member("b"));
  b.serve_echo(kEcho);
  const PeerHandle peer = a.peer(b);
  EXPECT_EQ(*a.ask(b, kEcho, "hello"), "hello");
  const std::string said = refusal_of(a, member("thief"), "thief", b->name());
  EXPECT_NE(said.find("b is live at " + b->name()), std::string::npos) << said;
  EXPECT_EQ(a.peer(b), peer);
}

/// A busy accepter writes between the two words of a dialer who sends data right behind the second: nobody would be
/// woken for what that write took from the socket.
TEST(TlsStream, WhatComesRightBehindTheHandshakeIsLeftForWhoReads) {
  const SecretDir dir;
  const auto context = std::move(*TlsContext::load(TestAuthority("ours").issue(dir, "a", "DNS:a")));
  const auto dialer = std::move(*TlsStream::create(*context, true));
  const auto accepter = std::move(*TlsStream::create(*context, false));
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()), 0);
  const UniqueFd near(ends[0]);
  const UniqueFd far(ends[1]);
  std::string word = "hello";
  const iovec piece{word.data(), word.size()};
  std::array<std::byte, 100> room;
  EXPECT_TRUE(dialer->write(near.get(), std::span(&piece, 1)).blocked);
  EXPECT_TRUE(accepter->read(far.get(), room, {}).blocked);
  EXPECT_TRUE(dialer->read(near.get(), room, {}).blocked);
  EXPECT_EQ(dialer->write(near.get(), std::span(&piece, 1)).count, word.size());

  const TlsStream::Step early = accepter->write(far.get(), std::span(&piece, 1));
  EXPECT_TRUE(early.blocked);
  EXPECT_EQ(early.count, 0u);
  pollfd wait{.fd = far.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&wait, 1, 0), 1) << "the write took what was there to read";
  EXPECT_EQ(accepter->read(far.get(), room, {}).count, word.size());
  EXPECT_EQ(accepter->write(far.get(), std::span(&piece, 1)).count, word.size());
}

/// Goal: whatever the socket takes and gives at a time, records come whole and in order. Method: both ends of a socket
/// with little room, pieces and landings of random sizes, in one thread.
TEST(TlsStream, EveryCutOfTheStreamGivesTheSameBytes) {
  const SecretDir dir;
  const auto context = std::move(*TlsContext::load(TestAuthority("ours").issue(dir, "a", "DNS:a")));
  const auto sender = std::move(*TlsStream::create(*context, true));
  const auto receiver = std::move(*TlsStream::create(*context, false));
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()), 0);
  const UniqueFd out(ends[0]);
  const UniqueFd in(ends[1]);
  constexpr int kRoom = 20'000;  // less than two records
  ASSERT_EQ(::setsockopt(out.get(), SOL_SOCKET, SO_SNDBUF, &kRoom, sizeof kRoom), 0);

  std::vector<std::byte> sent = noise(3'000'001, 1);
  std::vector<std::byte> came(sent.size());
  Rng rng(3);
  std::size_t written = 0;
  std::size_t read = 0;
  for (int turn = 0; read < sent.size() && turn < 100'000; ++turn) {
    std::array<iovec, 3> pieces{};
    std::size_t at = written;
    for (iovec& piece : pieces) {
      const std::size_t size = std::min<std::size_t>(rng.below(rng.below(2) == 0 ? 100 : 400'000), sent.size() - at);
      piece = {sent.data() + at, size};
      at += size;
    }
    ASSERT_TRUE(sender->read(out.get(), {}, {}).over.ok());  // the other side's part of the handshake
    const TlsStream::Step wrote = sender->write(out.get(), pieces);
    ASSERT_TRUE(wrote.over.ok()) << wrote.over.to_string();
    // What was taken is the caller's again, before the socket has taken it.
    std::ranges::fill(ByteSpan(sent).subspan(written, wrote.count), std::byte{0});
    written += wrote.count;
    const std::size_t first = std::min<std::size_t>(rng.below(100'000), came.size() - read);
    const std::size_t second = std::min<std::size_t>(rng.below(9'000), came.size() - read - first);
    const TlsStream::Step got =
        receiver->read(in.get(), ByteSpan(came).subspan(read, first), ByteSpan(came).subspan(read + first, second));
    ASSERT_TRUE(got.over.ok()) << got.over.to_string();
    read += got.count;
  }
  EXPECT_EQ(came, noise(sent.size(), 1));
  EXPECT_FALSE(sender->must_send());
}

TEST(CertificateNames, NameANodeOrAllOfADomain) {
  EXPECT_TRUE(names_node({"a", "node-0"}, "node-0"));
  EXPECT_TRUE(names_node({"Node-0.mooncake.svc"}, "node-0"));
  EXPECT_TRUE(names_node({"*.mooncake.svc"}, "node-0"));
  EXPECT_FALSE(names_node({}, "node-0"));
  EXPECT_FALSE(names_node({"node-01", "node", "x.node-0", "node-00.svc", ""}, "node-0"));
  EXPECT_FALSE(names_node({".svc", "*"}, ""));
}

}  // namespace
}  // namespace mooncake::transfer
