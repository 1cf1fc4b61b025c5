#include "kvcache/block_key.h"

#include <gtest/gtest.h>

#include <limits>
#include <numeric>
#include <set>

namespace mooncake::kvcache {
namespace {

constexpr Key128 kModel{0x0123456789abcdef, 0xfedcba9876543210};

std::vector<std::int32_t> count_up(std::size_t count) {
  std::vector<std::int32_t> tokens(count);
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

// The expected values were computed with Python's hashlib from the layout drawn in block_key.cc.
TEST(BlockKey, EqualsGoldenVectors) {
  const KeyScope scope{.model = kModel, .lora = "", .tenant = ""};
  const auto keys = block_keys(scope, count_up(128), 64);
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[0].to_string(), "ee50259b55364cffdfa75e52f4cec553");
  EXPECT_EQ(keys[1].to_string(), "f01b62c7181f4cbea20819cc25befd8a");

  const KeyScope tenant{.model = kModel, .lora = "sql", .tenant = "acme"};
  const std::vector<std::int32_t> odd = {-1, 0, std::numeric_limits<std::int32_t>::max()};
  EXPECT_EQ(next_block_key(tenant, keys[1], odd).to_string(), "0fb83a8614961ba4a402f281bbe68dbc");
}

TEST(BlockKey, CoversFullBlocksOnly) {
  const KeyScope scope{.model = kModel, .lora = "", .tenant = ""};
  EXPECT_TRUE(block_keys(scope, count_up(0), 64).empty());
  EXPECT_TRUE(block_keys(scope, count_up(63), 64).empty());
  EXPECT_EQ(block_keys(scope, count_up(64), 64).size(), 1u);
  EXPECT_EQ(block_keys(scope, count_up(191), 64).size(), 2u);
}

TEST(BlockKey, AgreesExactlyAsFarAsThePrefixDoes) {
  const KeyScope scope{.model = kModel, .lora = "", .tenant = ""};
  const auto a = count_up(4 * 64);
  auto b = a;
  b[2 * 64 + 63] = 7;
  const auto keys_a = block_keys(scope, a, 64);
  const auto keys_b = block_keys(scope, b, 64);
  EXPECT_EQ(keys_a[0], keys_b[0]);
  EXPECT_EQ(keys_a[1], keys_b[1]);
  EXPECT_NE(keys_a[2], keys_b[2]);
  EXPECT_NE(keys_a[3], keys_b[3]) << "a key names the whole prefix, not only its own block";
}

TEST(BlockKey, StepByStepEqualsAllAtOnce) {
  const KeyScope scope{.model = kModel, .lora = "x", .tenant = "y"};
  const auto tokens = count_up(5 * 16);
  const auto keys = block_keys(scope, tokens, 16);
  BlockKey parent;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    parent = next_block_key(scope, parent, std::span(tokens).subspan(i * 16, 16));
    EXPECT_EQ(parent, keys[i]);
  }
}

TEST(BlockKey, EveryFieldSeparates) {
  const auto tokens = count_up(64);
  std::set<BlockKey> keys;
  keys.insert(next_block_key({.model = kModel, .lora = "", .tenant = ""}, {}, tokens));
  keys.insert(next_block_key({.model = {1, 2}, .lora = "", .tenant = ""}, {}, tokens));
  keys.insert(next_block_key({.model = kModel, .lora = "ab", .tenant = ""}, {}, tokens));
  keys.insert(next_block_key({.model = kModel, .lora = "", .tenant = "ab"}, {}, tokens));
  keys.insert(next_block_key({.model = kModel, .lora = "a", .tenant = "b"}, {}, tokens));
  keys.insert(next_block_key({.model = kModel, .lora = "", .tenant = ""}, {0, 1}, tokens));
  keys.insert(next_block_key({.model = kModel, .lora = "", .tenant = ""}, {}, std::span(tokens).first(63)));
  EXPECT_EQ(keys.size(), 7u);
}

}  // namespace
}  // namespace mooncake::kvcache
