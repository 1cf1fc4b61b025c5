#include "kvcache/kv_checksum.h"

#include <fmt/core.h>

#include <array>

#include "base/crc32c.h"

namespace mooncake::kvcache {

std::uint32_t kv_checksum(std::span<const std::uint32_t> block_crc32c) {
  std::uint32_t checksum = 0;
  for (const std::uint32_t crc : block_crc32c) {
    const std::array bytes = {static_cast<std::byte>(crc), static_cast<std::byte>(crc >> 8),
                              static_cast<std::byte>(crc >> 16), static_cast<std::byte>(crc >> 24)};
    checksum = crc32c(bytes, checksum);
  }
  return checksum;
}

std::string show_kv_checksum(std::uint32_t checksum) { return fmt::format("{:08x}", checksum); }

}  // namespace mooncake::kvcache
