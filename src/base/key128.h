// Key128: 128 bits that name an immutable thing: a block of KVCache, an object of the store. Made by truncating a
// SHA-256, so equal keys mean equal content for every practical purpose, and any 64 of its bits are a good hash.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "base/bytes.h"

namespace mooncake {

struct Key128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  auto operator<=>(const Key128&) const = default;

  /// 32 hexadecimal digits, most significant first.
  [[nodiscard]] std::string to_string() const {
    std::array<std::byte, 16> bytes;
    for (int i = 0; i < 8; ++i) {
      bytes[i] = static_cast<std::byte>(high >> (56 - 8 * i));
      bytes[8 + i] = static_cast<std::byte>(low >> (56 - 8 * i));
    }
    return to_hex(bytes);
  }

  template <typename H>
  friend H AbslHashValue(H state, const Key128& key) {
    return H::combine(std::move(state), key.high, key.low);
  }
};

}  // namespace mooncake

template <>
struct std::hash<mooncake::Key128> {
  std::size_t operator()(const mooncake::Key128& key) const noexcept { return key.low; }
};
