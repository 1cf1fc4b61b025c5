// MemoryLocation: a row of a topology as a small number, for what is asked once a slice.
#pragma once

#include <cstdint>
#include <string>

namespace mooncake::transfer {

/// Where memory lies. Value type.
struct MemoryLocation {
  enum class Kind : std::uint8_t { kUnknown, kCpu, kCuda };
  Kind kind = Kind::kUnknown;
  std::uint16_t number = 0;  ///< of the NUMA node or GPU

  /// "cpu:0", "cuda:3", as a Topology names it; "" if unknown.
  [[nodiscard]] std::string name() const;
  bool operator==(const MemoryLocation&) const = default;
};

}  // namespace mooncake::transfer
