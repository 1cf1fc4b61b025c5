#include "store/core/change_log.h"

#include <gtest/gtest.h>

namespace mooncake::store {
namespace {

DirectoryChange stored(std::uint64_t number) { return {DirectoryChange::Kind::kStored, 0, {0, number}}; }

TEST(ChangeLog, FollowerReadsEveryChangeOnceInOrder) {
  ChangeLog log(100);
  std::uint64_t followed = 0;
  std::uint64_t seen = 0;
  for (std::uint64_t n = 1; n <= 50; ++n) {
    log.append(stored(n));
    if (n % 7 != 0) continue;
    while (followed < log.last()) {
      const auto changes = log.read(followed, 3);
      ASSERT_TRUE(changes);
      for (const DirectoryChange& change : *changes) EXPECT_EQ(change.key.low, ++seen);
      followed += changes->size();
    }
  }
  EXPECT_EQ(seen, 49u);
}

TEST(ChangeLog, FollowerWhoFellBehindIsToldSo) {
  ChangeLog log(10);
  for (std::uint64_t n = 1; n <= 20; ++n) log.append(stored(n));
  EXPECT_FALSE(log.read(9, 100));
  ASSERT_TRUE(log.read(10, 100));
  EXPECT_EQ(log.read(10, 100)->front(), stored(11));
}

TEST(ChangeLog, NumbersOfAnotherMasterAreAGap) {
  ChangeLog log(10);
  log.append(stored(1));
  EXPECT_FALSE(log.read(2, 10));
  ASSERT_TRUE(log.read(1, 10));
  EXPECT_TRUE(log.read(1, 10)->empty());
}

}  // namespace
}  // namespace mooncake::store
