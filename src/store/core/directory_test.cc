#include "store/core/directory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/rng.h"

namespace mooncake::store {
namespace {

const Key128 kKey{1, 2};

std::vector<NodeSlot> nodes(const Directory& directory, const Key128& key) {
  const auto found = directory.find(key);
  return {found.begin(), found.end()};
}

TEST(Directory, FirstPublicationDecidesTheValue) {
  Directory directory(100);
  EXPECT_TRUE(directory.store(0, kKey, 7));
  EXPECT_FALSE(directory.store(1, kKey, 8)) << "other bytes";
  EXPECT_TRUE(directory.store(2, kKey, 7)) << "another copy of the same";
  EXPECT_EQ(nodes(directory, kKey), (std::vector<NodeSlot>{0, 2}));
}

TEST(Directory, ANodeMayReplaceItsOwnOnlyCopy) {
  Directory directory(100);
  EXPECT_TRUE(directory.store(0, kKey, 7));
  EXPECT_TRUE(directory.store(0, kKey, 8));
  EXPECT_TRUE(directory.store(1, kKey, 8));
  EXPECT_FALSE(directory.store(0, kKey, 9)) << "not while another copy exists";
}

TEST(Directory, RefusesMoreCopiesThanItRemembers) {
  Directory directory(100);
  for (NodeSlot node = 0; node < kReplicasMax; ++node) EXPECT_TRUE(directory.store(node, kKey, 7));
  EXPECT_FALSE(directory.store(kReplicasMax, kKey, 7));
  directory.remove(1, kKey);
  EXPECT_TRUE(directory.store(kReplicasMax, kKey, 7));
}

TEST(Directory, ForgetsEverythingOfOneNode) {
  Directory directory(100);
  directory.store(0, kKey, 7);
  directory.store(1, kKey, 7);
  directory.store(0, {3, 4}, 9);
  directory.clear(0);
  EXPECT_EQ(nodes(directory, kKey), std::vector<NodeSlot>{1});
  EXPECT_EQ(directory.objects(), 1u);
  EXPECT_TRUE(directory.keys_of(0).empty());
}

// The twin is a map of sets; a follower that applies the log must end with the same content.
TEST(Directory, AgreesWithAMapOfSetsAndSoDoesAFollower) {
  Rng rng(5);
  Directory directory(1u << 20);
  std::map<Key128, std::map<NodeSlot, std::uint32_t>> twin;
  for (int step = 0; step < 30'000; ++step) {
    const Key128 key{rng.below(50), 0};
    const auto node = static_cast<NodeSlot>(rng.below(6));
    const auto crc = static_cast<std::uint32_t>(rng.below(8) == 0);
    auto& holders = twin[key];
    if (rng.below(1000) == 0) {
      directory.clear(node);
      for (auto& [other, entry] : twin) entry.erase(node);
    } else if (rng.below(3) == 0) {
      directory.remove(node, key);
      holders.erase(node);
    } else {
      const bool alone = holders.size() == 1 && holders.contains(node);
      const bool same = holders.empty() || alone || holders.begin()->second == crc;
      const bool room = holders.contains(node) || holders.size() < kReplicasMax;
      ASSERT_EQ(directory.store(node, key, crc), same && room) << "step " << step;
      if (same && room) holders[node] = crc;
    }
    const auto found = directory.find(key);
    ASSERT_EQ(std::set(found.begin(), found.end()).size(), holders.size());
    for (const NodeSlot held : found) ASSERT_TRUE(holders.contains(held));
  }
  std::map<NodeSlot, std::set<Key128>> followed;
  for (std::uint64_t at = 0; at < directory.log().last(); ++at) {
    const DirectoryChange change = directory.log().read(at, 1)->front();
    if (change.kind == DirectoryChange::Kind::kStored) followed[change.node].insert(change.key);
    if (change.kind == DirectoryChange::Kind::kRemoved) followed[change.node].erase(change.key);
    if (change.kind == DirectoryChange::Kind::kCleared) followed[change.node].clear();
  }
  for (std::size_t slot = 0; slot < directory.node_slots(); ++slot) {
    const auto node = static_cast<NodeSlot>(slot);
    const std::vector<Key128> keys = directory.keys_of(node);
    EXPECT_EQ(followed[node], std::set(keys.begin(), keys.end()));
  }
}

}  // namespace
}  // namespace mooncake::store
