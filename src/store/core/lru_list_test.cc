#include "store/core/lru_list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>

#include "base/rng.h"

namespace mooncake::store {
namespace {

TEST(LruList, TheOldestIsTheOneNotUsedLongest) {
  LruList lru;
  lru.push_newest(5);
  lru.push_newest(0);
  lru.push_newest(9);
  EXPECT_EQ(lru.oldest(), 5u);
  lru.touch(5);
  EXPECT_EQ(lru.oldest(), 0u);
  EXPECT_EQ(lru.newer(0), 9u);
  EXPECT_EQ(lru.newer(5), std::nullopt);
}

TEST(LruList, EmptyHasNoOldest) {
  LruList lru;
  EXPECT_EQ(lru.oldest(), std::nullopt);
  lru.push_newest(3);
  lru.remove(3);
  EXPECT_EQ(lru.oldest(), std::nullopt);
  EXPECT_FALSE(lru.contains(3));
}

TEST(LruList, AgreesWithAPlainList) {
  Rng rng(7);
  LruList lru;
  std::list<LruList::Id> twin;
  for (int step = 0; step < 20'000; ++step) {
    const auto id = static_cast<LruList::Id>(rng.below(40));
    const auto at = std::ranges::find(twin, id);
    ASSERT_EQ(lru.contains(id), at != twin.end());
    if (at == twin.end()) {
      lru.push_newest(id);
      twin.push_back(id);
    } else if (rng.below(2) == 0) {
      lru.remove(id);
      twin.erase(at);
    } else {
      lru.touch(id);
      twin.splice(twin.end(), twin, at);
    }
    ASSERT_EQ(lru.size(), twin.size());
    std::optional<LruList::Id> next = lru.oldest();
    for (const LruList::Id expected : twin) {
      ASSERT_EQ(next, expected) << "step " << step;
      next = lru.newer(expected);
    }
    ASSERT_EQ(next, std::nullopt);
  }
}

}  // namespace
}  // namespace mooncake::store
