// LoadResult: what one measurement of a fixed time saw.
#pragma once

#include <cstdint>
#include <vector>

namespace mooncake::cli {

struct LoadResult {
  double seconds = 0;            ///< from the first operation's start to the last one's end
  std::uint64_t operations = 0;  ///< requests of a batch, messages
  std::uint64_t bytes = 0;
  double cpu_s = 0;                ///< of both processes, meanwhile
  std::vector<double> latency_us;  ///< of each batch or message

  [[nodiscard]] double gb_per_s() const { return static_cast<double>(bytes) / seconds / 1e9; }
  [[nodiscard]] double operations_per_s() const { return static_cast<double>(operations) / seconds; }
  [[nodiscard]] double cpu_s_per_gb() const { return cpu_s / (static_cast<double>(bytes) / 1e9); }
};

}  // namespace mooncake::cli
