#include "store/client/location_cache.h"

#include <gtest/gtest.h>

namespace mooncake::store {
namespace {

Key128 key(std::uint64_t number) { return {0, number}; }
Location at(const std::string& name) { return {name, name + ":1"}; }

TEST(LocationCache, KeepsWhatWasUsedLast) {
  LocationCache cache(2);
  cache.set(key(1), {at("a")});
  cache.set(key(2), {at("a")});
  EXPECT_EQ(cache.find(key(1)).size(), 1u);
  cache.set(key(3), {at("a")});
  EXPECT_TRUE(cache.find(key(2)).empty());
  EXPECT_EQ(cache.find(key(1)).size(), 1u);
  EXPECT_EQ(cache.size(), 2u);
}

TEST(LocationCache, ForgetsOnePlaceAndThenTheKey) {
  LocationCache cache(10);
  cache.set(key(1), {at("a"), at("b")});
  cache.forget(key(1), "a:1");
  ASSERT_EQ(cache.find(key(1)).size(), 1u);
  EXPECT_EQ(cache.find(key(1))[0].node, "b");
  cache.forget(key(1), "b:1");
  EXPECT_EQ(cache.size(), 0u);
}

TEST(LocationCache, AddsAPlaceOnce) {
  LocationCache cache(10);
  cache.add(key(1), at("a"));
  cache.add(key(1), at("a"));
  cache.add(key(1), at("b"));
  EXPECT_EQ(cache.find(key(1)).size(), 2u);
}

TEST(LocationCache, AnEmptyAnswerForgets) {
  LocationCache cache(10);
  cache.set(key(1), {at("a")});
  cache.set(key(1), {});
  EXPECT_TRUE(cache.find(key(1)).empty());
}

TEST(LocationCache, OfNoEntriesRemembersNothing) {
  LocationCache cache(0);
  cache.set(key(1), {at("a")});
  EXPECT_TRUE(cache.find(key(1)).empty());
}

}  // namespace
}  // namespace mooncake::store
