#include "kvcache/holder_sets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

#include "base/rng.h"

namespace mooncake::kvcache {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(HolderSets, EqualSetsAreOneHoweverTheyCameAbout) {
  HolderSets sets;
  const SetId ab = sets.add(sets.add(HolderSets::kNobody, 7), 3);
  const SetId ba = sets.add(sets.add(HolderSets::kNobody, 3), 7);
  EXPECT_EQ(ab, ba);
  EXPECT_THAT(sets.members(ab), ElementsAre(3, 7));
  EXPECT_TRUE(sets.contains(ab, 7));
  EXPECT_FALSE(sets.contains(ab, 5));
  EXPECT_EQ(sets.size(), 1u) << "nobody has {3} or {7} any more";
}

TEST(HolderSets, ASetLivesAsLongAsItHasUsers) {
  HolderSets sets;
  SetId first = sets.add(HolderSets::kNobody, 1);
  SetId second = sets.add(HolderSets::kNobody, 1);
  ASSERT_EQ(first, second);
  first = sets.remove(first, 1);
  EXPECT_EQ(first, HolderSets::kNobody);
  EXPECT_THAT(sets.members(first), IsEmpty());
  EXPECT_THAT(sets.members(second), ElementsAre(1));
  second = sets.remove(second, 1);
  EXPECT_EQ(sets.size(), 0u);
}

TEST(HolderSets, ManyUsersOfOneSetShareIt) {
  HolderSets sets;
  for (int i = 0; i < 100'000; ++i) sets.add(sets.add(HolderSets::kNobody, 2), 9);
  EXPECT_EQ(sets.size(), 1u);
}

TEST(HolderSets, AnIdThatIsUsedAgainIsNotTakenForItsFormerSet) {
  HolderSets sets;
  const SetId one = sets.add(HolderSets::kNobody, 1);
  const SetId one_two = sets.add(one, 2);  // {1} has no user any more, and the step is remembered
  const SetId five = sets.add(HolderSets::kNobody, 5);
  ASSERT_EQ(five, one) << "the id was free";
  EXPECT_THAT(sets.members(sets.add(five, 2)), ElementsAre(2, 5));
  EXPECT_THAT(sets.members(one_two), ElementsAre(1, 2));
}

// The twin keeps a std::set for each user.
TEST(HolderSets, AgreesWithASetForEachUserOnRandomChanges) {
  Rng rng(11);
  HolderSets sets;
  std::vector<SetId> users(30, HolderSets::kNobody);
  std::vector<std::set<HolderId>> twins(users.size());
  for (int step = 0; step < 8'000; ++step) {
    const std::size_t user = rng.below(users.size());
    const auto holder = static_cast<HolderId>(rng.below(step < 4'000 ? 4 : 40));
    const bool has = twins[user].contains(holder);
    ASSERT_EQ(sets.contains(users[user], holder), has);
    // Now and then what changes nothing: who is in it is added, who is not removed.
    if (has != (rng.below(8) == 0)) {
      users[user] = sets.remove(users[user], holder);
      twins[user].erase(holder);
    } else {
      users[user] = sets.add(users[user], holder);
      twins[user].insert(holder);
    }
    const auto members = sets.members(users[user]);
    ASSERT_EQ(std::vector(members.begin(), members.end()), std::vector(twins[user].begin(), twins[user].end()));
    std::set<std::set<HolderId>> different(twins.begin(), twins.end());
    different.erase(std::set<HolderId>{});
    ASSERT_EQ(sets.size(), different.size());
  }
}

}  // namespace
}  // namespace mooncake::kvcache
