// Many engines that meet at once, and many connections that do nothing.
#include <gmock/gmock.h>

#include <cstdio>
#include <fstream>

#include "transfer/fake_peer.h"
#include "transfer/test_child.h"
#include "transfer/test_node.h"
#include "transfer/test_slowdown.h"

namespace mooncake::transfer {
namespace {

constexpr std::uint16_t kEcho = 900;

/// Memory of a process that is in use, in bytes.
std::size_t resident(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/statm");
  std::size_t all = 0;
  std::size_t pages = 0;
  CHECK(in >> all >> pages);
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

TEST(Scale, ThirtyTwoEnginesThatMeetAtOnceTalkWithinTwoSeconds) {
  constexpr std::size_t kEngines = 32;
  std::vector<std::unique_ptr<TransferEngine>> engines;
  for (std::size_t i = 0; i < kEngines; ++i) {
    engines.push_back(*TransferEngine::create({.node_name = "node-" + std::to_string(i)}));
    engines.back()->serve(kEcho, [i](PeerHandle, const std::string& payload, Responder responder) {
      responder.reply(payload + " to " + std::to_string(i));
    });
  }
  std::atomic<std::size_t> missing{kEngines * (kEngines - 1)};
  std::atomic<int> wrong{0};
  Later<bool> all;
  const Instant before = std::chrono::steady_clock::now();
  for (std::size_t from = 0; from < kEngines; ++from) {
    for (std::size_t to = 0; to < kEngines; ++to) {
      if (from == to) continue;
      const std::string expected = std::to_string(from) + " to " + std::to_string(to);
      engines[from]->call(*engines[from]->connect(engines[to]->name()), kEcho, std::to_string(from), soon(),
                          [&, expected, set = all.setter()](const Result<std::string>& answer) {
                            if (!answer.ok() || *answer != expected) ++wrong;
                            if (--missing == 0) set(true);
                          });
    }
  }
  EXPECT_TRUE(all.get());
  const auto took = std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now() - before);
  EXPECT_EQ(wrong.load(), 0);
  std::printf("%zu engines, %zu pairs: %lld ms\n", kEngines, kEngines * (kEngines - 1) / 2,
              static_cast<long long>(took.count()));
  EXPECT_TRUE(kSanitized || took <= Seconds(2));
}

TEST(Scale, ThousandIdleConnectionsTakeLittleMemory) {
  constexpr std::size_t kConnections = 1'000;
  constexpr std::size_t kGrowthMax = 64u << 20;
  const TestChild child([](const auto& say) {
    TestNode node({.node_name = "child"});
    node.serve_echo(kEcho);
    say(node->name());
    for (;;) ::pause();
  });
  const auto meet = [&] {
    auto peer = std::make_unique<FakePeer>();
    peer->dial(child.said());
    peer->greet();
    peer->send({.kind = FrameKind::kCall, .request_id = 1, .argument = kEcho}, "hello");
    EXPECT_EQ(peer->receive(FrameKind::kReply).payload, "hello");
    return peer;
  };
  const auto first = meet();  // what the process needs anyway
  const std::size_t before = resident(child.pid());
  std::vector<std::unique_ptr<FakePeer>> peers;
  while (peers.size() < kConnections) peers.push_back(meet());
  const std::size_t growth = resident(child.pid()) - before;
  std::printf("%zu idle connections: %zu KiB resident\n", kConnections, growth >> 10);
  EXPECT_TRUE(kSanitized || growth <= kGrowthMax);
  for (const auto& peer : peers) {  // they all live
    peer->send({.kind = FrameKind::kCall, .request_id = 2, .argument = kEcho}, "still");
    ASSERT_EQ(peer->receive(FrameKind::kReply).payload, "still");
  }
}

}  // namespace
}  // namespace mooncake::transfer
