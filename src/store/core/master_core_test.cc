#include "store/core/master_core.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/rng.h"

namespace mooncake::store {
namespace {

constexpr Millis kTimeout{3'000};
constexpr Instant kNow{Seconds{100}};

Member node(const std::string& name, std::uint64_t epoch = 1) {
  return {.role = "node", .name = name, .endpoint = name + ":1", .epoch = epoch, .attached_node = {}, .model = {}};
}

Publication stored(const Key128& key, std::uint32_t crc = 1) { return {true, key, crc}; }
Publication removed(const Key128& key) { return {false, key, 0}; }

std::vector<std::string> where(const MasterCore& master, const Key128& key) {
  std::vector<std::string> names;
  for (const NodeSlot slot : master.directory().find(key)) names.push_back(master.nodes()[slot].name);
  return names;
}

TEST(MasterCore, AnEndedSessionLeavesNothingBehind) {
  MasterCore master(kTimeout, 1);
  const SessionId session = *master.join(node("n0"), ConnectionId{1}, kNow);
  const Publication change = stored({1, 1});
  ASSERT_TRUE(master.publish(session, ConnectionId{1}, {&change, 1}, kNow).ok());
  EXPECT_EQ(where(master, {1, 1}), std::vector<std::string>{"n0"});
  EXPECT_EQ(master.connection_lost(ConnectionId{1}).size(), 1u);
  EXPECT_TRUE(where(master, {1, 1}).empty());
  EXPECT_FALSE(master.nodes()[0].live);
  EXPECT_EQ(master.publish(session, ConnectionId{1}, {&change, 1}, kNow).status().code(), Code::kStale);
  EXPECT_TRUE(where(master, {1, 1}).empty());
}

TEST(MasterCore, ARejoiningNodeStartsFromNothing) {
  MasterCore master(kTimeout, 1);
  const SessionId first = *master.join(node("n0"), ConnectionId{1}, kNow);
  const std::vector<Publication> changes{stored({1, 1}), stored({2, 2})};
  ASSERT_TRUE(master.publish(first, ConnectionId{1}, changes, kNow).ok());
  const SessionId second = *master.join(node("n0"), ConnectionId{2}, kNow);
  EXPECT_EQ(master.directory().objects(), 0u);
  ASSERT_TRUE(master.publish(second, ConnectionId{2}, {&changes[1], 1}, kNow).ok());
  EXPECT_TRUE(where(master, {1, 1}).empty());
  EXPECT_EQ(where(master, {2, 2}), std::vector<std::string>{"n0"});
}

TEST(MasterCore, TellsWhichCopiesToDrop) {
  MasterCore master(kTimeout, 1);
  const SessionId first = *master.join(node("n0"), ConnectionId{1}, kNow);
  const SessionId second = *master.join(node("n1"), ConnectionId{2}, kNow);
  const Publication change = stored({1, 1}, 7);
  ASSERT_TRUE(master.publish(first, ConnectionId{1}, {&change, 1}, kNow).ok());
  const std::vector<Publication> changes{stored({2, 2}), stored({1, 1}, 8), stored({1, 1}, 7)};
  EXPECT_EQ(*master.publish(second, ConnectionId{2}, changes, kNow), std::vector<std::uint32_t>{1});
}

TEST(MasterCore, OnlyNodesPublish) {
  MasterCore master(kTimeout, 1);
  Member worker = node("prefill-0");
  worker.role = "prefill";
  const SessionId session = *master.join(worker, ConnectionId{1}, kNow);
  const Publication change = stored({1, 1});
  EXPECT_EQ(master.publish(session, ConnectionId{1}, {&change, 1}, kNow).status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(master.heartbeat(session, ConnectionId{1}, 0, 0, kNow).ok());
}

TEST(MasterCore, RefusesAMemberWithoutAName) {
  MasterCore master(kTimeout, 1);
  EXPECT_EQ(master.join(node(""), ConnectionId{1}, kNow).status().code(), Code::kInvalidArgument);
}

// Nodes that store, evict, crash, return, and are cut off from masters that restart. The law: when the noise ends and
// every live node has joined and reported, the directory is exactly what the live nodes hold.
TEST(MasterCore, AfterAnyHistoryTheDirectoryIsWhatLiveNodesHold) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Rng rng(seed);
    auto master = std::make_unique<MasterCore>(kTimeout, seed);
    struct Node {
      std::set<Key128> held;
      SessionId session{};
      ConnectionId connection{};
    };
    std::map<std::string, Node> nodes{{"n0", {}}, {"n1", {}}, {"n2", {}}};
    std::uint64_t connections = 0;
    Instant now = kNow;
    const auto publish = [&](Node& target, const std::vector<Publication>& changes) {
      return master->publish(target.session, target.connection, changes, now).ok();
    };
    const auto rejoin = [&](const std::string& name, Node& target) {
      target.connection = ConnectionId{++connections};
      target.session = *master->join(node(name), target.connection, now);
      std::vector<Publication> report;
      for (const Key128& key : target.held) report.push_back(stored(key));
      ASSERT_TRUE(publish(target, report));
    };
    for (int step = 0; step < 2'000; ++step) {
      now += Millis{100};
      auto& [name, target] = *std::next(nodes.begin(), static_cast<std::ptrdiff_t>(rng.below(nodes.size())));
      const Key128 key{rng.below(30), 0};
      if (const std::uint64_t dice = rng.below(100); dice < 50) {
        target.held.insert(key);
        if (!publish(target, {stored(key)})) rejoin(name, target);
      } else if (dice < 80) {
        target.held.erase(key);
        if (!publish(target, {removed(key)})) rejoin(name, target);
      } else if (dice < 84) {
        master->connection_lost(target.connection);
      } else if (dice < 86) {
        target.held.clear();  // crash and restart
        rejoin(name, target);
      } else if (dice < 87) {
        master = std::make_unique<MasterCore>(kTimeout, seed * 10'000 + static_cast<std::uint64_t>(step));
      } else {
        master->tick(now);
      }
    }
    for (auto& [name, target] : nodes) {
      if (!master->heartbeat(target.session, target.connection, 0, 0, now).ok()) rejoin(name, target);
    }
    for (std::uint64_t n = 0; n < 30; ++n) {
      std::set<std::string> expected;
      for (const auto& [name, target] : nodes) {
        if (target.held.contains({n, 0})) expected.insert(name);
      }
      const std::vector<std::string> found = where(*master, {n, 0});
      EXPECT_EQ(std::set(found.begin(), found.end()), expected) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace mooncake::store
