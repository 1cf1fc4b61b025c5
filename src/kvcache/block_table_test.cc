#include "kvcache/block_table.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/rng.h"

namespace mooncake::kvcache {
namespace {

// Keys of `shard`, so that a test can fill one part of the table.
SlotKey key_in_shard(std::uint64_t shard, std::uint64_t number) {
  return {.find = (shard << 57) | (splitmix64(number) >> 7), .check = static_cast<std::uint32_t>(number)};
}

void put(BlockTable& table, const SlotKey& key, std::uint32_t value) {
  table.update(key, [&](std::uint32_t) { return value; });
}

TEST(BlockTable, RemembersTheLastValueOfEachKey) {
  BlockTable table;
  const SlotKey a = slot_key({1, 2});
  EXPECT_EQ(table.get(a), 0u);
  put(table, a, 7);
  put(table, a, 8);
  EXPECT_EQ(table.get(a), 8u);
  EXPECT_EQ(table.get(slot_key({1, 3})), 0u);
  EXPECT_EQ(table.size(), 1u);
  put(table, a, 0);
  put(table, a, 0);
  EXPECT_EQ(table.get(a), 0u);
  EXPECT_EQ(table.size(), 0u);
}

TEST(BlockTable, KeysThatAgreeInTheBitsToFindAreToldApartByTheOthers) {
  BlockTable table;
  const SlotKey a{.find = 5, .check = 1};
  const SlotKey b{.find = 5, .check = 2};
  put(table, a, 1);
  put(table, b, 2);
  EXPECT_EQ(table.get(a), 1u);
  EXPECT_EQ(table.get(b), 2u);
  put(table, a, 0);
  EXPECT_EQ(table.get(b), 2u);
}

TEST(BlockTable, BetweenTwoAndFourFifthsOfTheSlotsAreTaken) {
  BlockTable table;
  for (std::uint64_t n = 0; n < 300'000; ++n) {
    put(table, slot_key({splitmix64(n), n}), 1);
    if (n < 10'000 || n % 101 != 0) continue;  // first every part has to grow
    ASSERT_LE(table.capacity() * 2, table.size() * 5) << n;
    ASSERT_GE(table.capacity() * 4 + 128 * 5, table.size() * 5) << n << ": each of 128 parts rounds up";
  }
}

TEST(BlockTable, ARoundOfSweepsVisitsEveryKeyAndMayForgetIt) {
  BlockTable table;
  for (std::uint64_t n = 1; n <= 1000; ++n) put(table, slot_key({splitmix64(n), n}), static_cast<std::uint32_t>(n));
  std::set<std::uint32_t> seen;
  // A slot is looked at again when a key moved into it, and so is each part's end.
  for (std::size_t slots = 0; slots < table.capacity() + 1000 + 128; ++slots) {
    table.sweep(1, [&](std::uint32_t value) {
      seen.insert(value % 10'000);
      if (value > 10'000) return value;
      return value % 2 == 0 ? 0 : value + 10'000;
    });
  }
  EXPECT_EQ(seen.size(), 1000u);
  EXPECT_EQ(table.size(), 500u);
  for (std::uint32_t n = 1; n <= 1000; ++n) {
    EXPECT_EQ(table.get(slot_key({splitmix64(n), n})), n % 2 == 0 ? 0 : n + 10'000) << n;
  }
}

// The twin is a std::map. All keys are of one or two shards and few, so runs meet and wrap around the end.
TEST(BlockTable, AgreesWithAMapOnRandomChanges) {
  Rng rng(3);
  for (int round = 0; round < 50; ++round) {
    BlockTable table;
    std::map<std::uint64_t, std::uint32_t> twin;
    const std::uint64_t keys = 4 + rng.below(60);
    for (int step = 0; step < 2000; ++step) {
      const std::uint64_t number = rng.below(keys);
      const auto value = static_cast<std::uint32_t>(rng.below(3));
      put(table, key_in_shard(127 - number % 2, number), value);
      if (value == 0) {
        twin.erase(number);
      } else {
        twin[number] = value;
      }
      if (step % 16 == 0) {
        table.sweep(5, [](std::uint32_t old) { return old; });
      }
      ASSERT_EQ(table.size(), twin.size());
      const std::uint64_t other = rng.below(keys);
      const auto at = twin.find(other);
      ASSERT_EQ(table.get(key_in_shard(127 - other % 2, other)), at == twin.end() ? 0 : at->second) << step;
    }
  }
}

}  // namespace
}  // namespace mooncake::kvcache
