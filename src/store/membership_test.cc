// Membership over real sockets: who is told what, when members and masters come and go.
#include <gtest/gtest.h>

#include "store/test_cluster.h"

namespace mooncake::store {
namespace {

constexpr std::size_t kMiB = 1u << 20;
using Names = std::vector<std::string>;

TEST(Membership, EveryWatcherLearnsOfEveryMember) {
  TestMaster master;
  TestWatcher gateway(master.name(), member("gateway", "gateway-0"));
  TestStoreNode node("node-0", master.name(), kMiB);
  Member prefill = member("prefill", "prefill-0");
  prefill.attached_node = "node-0";
  prefill.model = "abcd";
  TestWatcher worker(master.name(), prefill);
  const Names all{"gateway-0", "node-0", "prefill-0"};
  EXPECT_TRUE(eventually([&] { return gateway.members() == all && worker.members() == all; }));
  EXPECT_TRUE(eventually([&] { return gateway.joined() && worker.joined(); }));
  const Member seen = gateway.full_members()[2];
  EXPECT_EQ(seen.role, "prefill");
  EXPECT_EQ(seen.attached_node, "node-0");
  EXPECT_EQ(seen.model, "abcd");
  EXPECT_NE(seen.epoch, 0u);
  EXPECT_FALSE(seen.endpoint.empty());
}

TEST(Membership, ABrokenConnectionEndsAMemberLongBeforeTheTimeout) {
  TestMaster master;
  TestWatcher gateway(master.name(), member("gateway", "gateway-0"));
  TestWatcher worker(master.name(), member("decode", "decode-0"));
  ASSERT_TRUE(eventually([&] { return gateway.members() == Names{"decode-0", "gateway-0"}; }));
  const Instant before = std::chrono::steady_clock::now();
  worker.kill();
  EXPECT_TRUE(eventually([&] { return gateway.members() == Names{"gateway-0"}; }));
  EXPECT_LT(std::chrono::steady_clock::now() - before, Seconds(2));
}

TEST(Membership, AWatcherWithoutARoleSeesButIsNotSeen) {
  TestMaster master;
  TestWatcher tool(master.name(), {});
  TestWatcher worker(master.name(), member("decode", "decode-0"));
  EXPECT_TRUE(eventually([&] { return tool.members() == Names{"decode-0"} && tool.joined(); }));
}

TEST(Membership, ARestartedMasterIsRejoinedAndNobodySeemsToLeaveMeanwhile) {
  TestMaster master;
  TestWatcher gateway(master.name(), member("gateway", "gateway-0"));
  TestWatcher worker(master.name(), member("decode", "decode-0"));
  TestStoreNode node("node-0", master.name(), kMiB);
  const Names all{"decode-0", "gateway-0", "node-0"};
  ASSERT_TRUE(eventually([&] { return gateway.members() == all && node.joined(); }));
  const std::vector<Member> before = gateway.full_members();
  gateway.reset_shortest();
  master.restart();
  TestWatcher newcomer(master.name(), member("prefill", "prefill-0"));
  const Names more{"decode-0", "gateway-0", "node-0", "prefill-0"};
  ASSERT_TRUE(eventually([&] { return newcomer.members() == more && gateway.members() == more; }));
  EXPECT_EQ(gateway.shortest_list(), 3u) << "who was there before the master died stays while it may still rejoin";
  std::vector<Member> after = newcomer.full_members();
  std::erase_if(after, [](const Member& one) { return one.name == "prefill-0"; });
  EXPECT_EQ(after, before) << "the same epochs";
}

TEST(Membership, AMemberThatDiesWithTheMasterIsForgottenAfterTheGrace) {
  TestMaster master;
  TestWatcher gateway(master.name(), member("gateway", "gateway-0"));
  TestWatcher worker(master.name(), member("decode", "decode-0"));
  ASSERT_TRUE(eventually([&] { return gateway.members() == Names{"decode-0", "gateway-0"}; }));
  master.kill();
  worker.kill();
  master.restart();
  EXPECT_TRUE(eventually([&] { return gateway.members() == Names{"gateway-0"}; }));
}

TEST(Membership, FollowersSeeWhatIsStoredEvictedAndLost) {
  TestMaster master;
  TestStoreNode node("node-0", master.name(), 2 * kMiB);
  TestClient client(master.name());
  ASSERT_TRUE(eventually([&] { return node.joined(); }));
  ASSERT_TRUE(client.put(1, noise(kMiB, 1)).ok());
  TestWatcher gateway(master.name(), member("gateway", "gateway-0"));
  EXPECT_TRUE(eventually([&] { return gateway.content("node-0") == std::set<Key128>{key(1)}; })) << "the copy";
  ASSERT_TRUE(client.put(2, noise(kMiB, 2)).ok());
  EXPECT_TRUE(eventually([&] { return gateway.content("node-0") == std::set<Key128>{key(1), key(2)}; })) << "a change";
  ASSERT_TRUE(client.put(3, noise(kMiB, 3)).ok());
  EXPECT_TRUE(eventually([&] { return gateway.content("node-0") == std::set<Key128>{key(2), key(3)}; })) << "eviction";
  node.kill();
  EXPECT_TRUE(eventually([&] { return gateway.content("node-0").empty(); })) << "cleared";
}

TEST(Membership, FollowersGetAWholeCopyFromARestartedMaster) {
  TestMaster master;
  TestStoreNode node("node-0", master.name(), 64 * kMiB, true, 1024);
  TestClient client(master.name());
  TestWatcher gateway(master.name(), member("gateway", "gateway-0"));
  ASSERT_TRUE(eventually([&] { return node.joined(); }));
  constexpr std::size_t kObjects = 40'000;  // three messages of keys
  const std::vector<std::byte> value = noise(100, 1);
  std::vector<PutItem> puts;
  std::set<Key128> keys;
  for (std::uint64_t n = 0; n < kObjects; ++n) {
    puts.push_back({key(n), value, crc32c(value)});
    keys.insert(key(n));
  }
  for (const Status& status : client->put_and_wait(puts, soon())) ASSERT_TRUE(status.ok()) << status.to_string();
  ASSERT_TRUE(eventually([&] { return gateway.content("node-0").size() == kObjects; }));
  const std::size_t clears = gateway.clears();
  master.restart();
  ASSERT_TRUE(eventually([&] { return gateway.clears() > clears && gateway.content("node-0") == keys; }));
  TestWatcher newcomer(master.name(), member("gateway", "gateway-1"));
  EXPECT_TRUE(eventually([&] { return newcomer.content("node-0") == keys; }));
}

}  // namespace
}  // namespace mooncake::store
