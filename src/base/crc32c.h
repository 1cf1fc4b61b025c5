// CRC-32C (Castagnoli, RFC 3720 appendix B.4), by isa-l: the checksum that travels with every block from the engine
// that made it to the engine that imports it.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace mooncake {

/// The CRC-32C of `bytes`. Pass the CRC of what came before as `crc` to continue it: crc32c(b, crc32c(a)) is the CRC of
/// a followed by b. The CRC of nothing is 0. Thread-safe. About 10 GB/s or more a core.
std::uint32_t crc32c(ConstByteSpan bytes, std::uint32_t crc = 0);

}  // namespace mooncake
