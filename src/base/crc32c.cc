#include "base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <limits>

namespace mooncake {

std::uint32_t crc32c(ConstByteSpan bytes, std::uint32_t crc) {
  // isa-l takes an int length and works on the inverted register.
  constexpr std::size_t kPieceMax = 1u << 30;
  std::uint32_t state = ~crc;
  while (!bytes.empty()) {
    const std::size_t piece = std::min(bytes.size(), kPieceMax);
    auto* data = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes.data()));  // isa-l only reads
    state = crc32_iscsi(data, static_cast<int>(piece), state);
    bytes = bytes.subspan(piece);
  }
  return ~state;
}

}  // namespace mooncake
