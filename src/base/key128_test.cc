#include "base/key128.h"

#include <absl/container/flat_hash_set.h>
#include <gtest/gtest.h>

#include <unordered_set>

namespace mooncake {
namespace {

TEST(Key128, PrintsMostSignificantFirst) {
  EXPECT_EQ((Key128{0x0123456789abcdef, 0xfedcba9876543210}).to_string(), "0123456789abcdeffedcba9876543210");
  EXPECT_EQ(Key128{}.to_string(), std::string(32, '0'));
}

TEST(Key128, OrdersAsItPrints) {
  const Key128 small{1, ~0ULL};
  const Key128 large{2, 0};
  EXPECT_LT(small, large);
  EXPECT_LT(small.to_string(), large.to_string());
  EXPECT_NE(small, large);
}

TEST(Key128, IsAKeyOfBothKindsOfHashTable) {
  absl::flat_hash_set<Key128> flat;
  std::unordered_set<Key128> chained;
  for (std::uint64_t i = 0; i < 100; ++i) {
    flat.insert({i, 0});
    flat.insert({0, i});
    chained.insert({i, 0});
    chained.insert({0, i});
  }
  EXPECT_EQ(flat.size(), 199u) << "both halves count; {0, 0} came twice";
  EXPECT_EQ(chained.size(), 199u);
  EXPECT_TRUE(flat.contains({99, 0}));
}

TEST(Bytes, LittleEndianAtAnyAlignment) {
  std::byte memory[16]{};
  store_le<std::uint32_t>(memory + 3, 0x11223344);
  EXPECT_EQ(to_hex(ConstByteSpan(memory).subspan(2, 6)), "004433221100");
  EXPECT_EQ(load_le<std::uint32_t>(memory + 3), 0x11223344u);
}

}  // namespace
}  // namespace mooncake
