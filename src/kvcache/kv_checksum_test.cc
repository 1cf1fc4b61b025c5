#include "kvcache/kv_checksum.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace mooncake::kvcache {
namespace {

TEST(KvChecksum, IsTheCrcOfTheLittleEndianCrcs) {
  // "1234" and "5678" read as little-endian numbers, then '9' and three zero bytes; the first two are the check value
  // of RFC 3720's polynomial over "12345678".
  const std::array<std::uint32_t, 2> blocks = {0x34333231, 0x38373635};
  EXPECT_EQ(kv_checksum(blocks), 0x6087809Au);
  EXPECT_EQ(show_kv_checksum(0x0087809A), "0087809a");
}

TEST(KvChecksum, TellsOrderAndNumberOfBlocks) {
  using Blocks = std::vector<std::uint32_t>;
  EXPECT_NE(kv_checksum(Blocks{1, 2}), kv_checksum(Blocks{2, 1}));
  EXPECT_NE(kv_checksum(Blocks{1}), kv_checksum(Blocks{1, 0}));
  EXPECT_EQ(kv_checksum(Blocks{}), 0u);
}

}  // namespace
}  // namespace mooncake::kvcache
