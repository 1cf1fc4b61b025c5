// Views of raw bytes, and little-endian access to them. Everything of ours that leaves the process is little-endian.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace mooncake {

using ByteSpan = std::span<std::byte>;
using ConstByteSpan = std::span<const std::byte>;

static_assert(std::endian::native == std::endian::little, "big-endian hosts need byte swaps in load_le and store_le");

/// Reads a little-endian integer at `at`, which needs no alignment. The caller has checked the bounds.
template <typename T>
T load_le(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

/// Writes `value` little-endian at `at`, which needs no alignment. The caller has checked the bounds.
template <typename T>
void store_le(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

/// The bytes of a string, borrowed.
inline ConstByteSpan as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

/// Lower-case hexadecimal, two digits a byte, in memory order.
inline std::string to_hex(ConstByteSpan bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::byte b : bytes) {
    text.push_back(kDigits[std::to_integer<unsigned>(b) >> 4]);
    text.push_back(kDigits[std::to_integer<unsigned>(b) & 15]);
  }
  return text;
}

}  // namespace mooncake
