// One checksum for the KVCache of a whole prompt.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace mooncake::kvcache {

/// The CRC-32C of the blocks' CRC-32Cs (little-endian, in order, a partial last block included). Two workers that give
/// the same for a prompt hold the same bytes: `mooncake kv why` shows a request's, `mooncake generate --json` that of
/// one process. Pure.
std::uint32_t kv_checksum(std::span<const std::uint32_t> block_crc32c);

/// As eight hexadecimal digits, the form in which it is shown.
std::string show_kv_checksum(std::uint32_t checksum);

}  // namespace mooncake::kvcache
