#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/rng.h"

namespace mooncake {
namespace {

// One bit at a time, from the definition: slow and obvious.
std::uint32_t crc32c_by_definition(ConstByteSpan bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const std::byte byte : bytes) {
    crc ^= std::to_integer<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
  }
  return ~crc;
}

std::vector<std::byte> pattern(std::size_t size, auto at) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(at(i));
  return bytes;
}

TEST(Crc32c, MatchesTheVectorsOfRfc3720) {
  EXPECT_EQ(crc32c(pattern(32, [](auto) { return 0x00; })), 0x8a9136aau);
  EXPECT_EQ(crc32c(pattern(32, [](auto) { return 0xff; })), 0x62a8ab43u);
  EXPECT_EQ(crc32c(pattern(32, [](auto i) { return i; })), 0x46dd794eu);
  EXPECT_EQ(crc32c(pattern(32, [](auto i) { return 31 - i; })), 0x113fdb5cu);
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283u);
}

TEST(Crc32c, OfNothingIsZero) { EXPECT_EQ(crc32c({}), 0u); }

TEST(Crc32c, EqualsItsDefinitionAtEveryLengthAndAlignment) {
  Rng rng(1);
  const std::vector<std::byte> bytes = pattern(600, [&rng](auto) { return rng.next(); });
  for (std::size_t start = 0; start < 9; ++start) {
    for (std::size_t size = 0; size < 590; size += 1 + size / 16) {
      const ConstByteSpan part = ConstByteSpan(bytes).subspan(start, size);
      ASSERT_EQ(crc32c(part), crc32c_by_definition(part)) << "start " << start << " size " << size;
    }
  }
}

TEST(Crc32c, ContinuesWhereItStopped) {
  Rng rng(2);
  const std::vector<std::byte> bytes = pattern(300, [&rng](auto) { return rng.next(); });
  const ConstByteSpan whole(bytes);
  for (std::size_t cut = 0; cut <= bytes.size(); cut += 7) {
    EXPECT_EQ(crc32c(whole.subspan(cut), crc32c(whole.first(cut))), crc32c(whole)) << "cut at " << cut;
  }
}

}  // namespace
}  // namespace mooncake
