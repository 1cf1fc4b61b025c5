// LatencyHistogram: how long things took, in buckets of fixed bounds, each twice the one before. Observing is two
// atomic additions: no lock, no allocation. Thread-safe; a snapshot may be in the middle of an observation.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>
#include <numeric>

#include "base/time.h"

namespace mooncake::transfer {

/// The first bound: half of what a slice of RDMA takes.
inline constexpr std::chrono::microseconds kLatencyMin{4};
/// Bounds: 4 us, 8 us, ... 67 s, above the deadlines that services set.
inline constexpr std::size_t kLatencyBounds = 25;

/// What a histogram held at one moment. Thread-compatible.
struct LatencyCounts {
  /// How many took at most bound(i) and more than bound(i - 1); the last: more than any bound.
  std::array<std::uint64_t, kLatencyBounds + 1> counts{};
  Nanos sum{0};  ///< of all

  [[nodiscard]] static constexpr Nanos bound(std::size_t i) { return kLatencyMin * (std::int64_t{1} << i); }
  [[nodiscard]] std::uint64_t count() const { return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}); }
  bool operator==(const LatencyCounts&) const = default;
};

class LatencyHistogram {
 public:
  void observe(Nanos took) {
    counts_[bucket(took)].fetch_add(1, std::memory_order_relaxed);
    sum_ns_.fetch_add(took.count(), std::memory_order_relaxed);
  }
  [[nodiscard]] LatencyCounts snapshot() const {
    LatencyCounts copy;
    for (std::size_t i = 0; i < counts_.size(); ++i) copy.counts[i] = counts_[i].load(std::memory_order_relaxed);
    copy.sum = Nanos(sum_ns_.load(std::memory_order_relaxed));
    return copy;
  }

  /// The bucket of a duration: bounds belong to the bucket below them, as Prometheus counts.
  [[nodiscard]] static constexpr std::size_t bucket(Nanos took) {
    if (took <= kLatencyMin) return 0;
    const auto units = static_cast<std::uint64_t>((took - Nanos(1)) / Nanos(kLatencyMin));
    return std::min<std::size_t>(std::bit_width(units), kLatencyBounds);
  }

 private:
  std::array<std::atomic<std::uint64_t>, kLatencyBounds + 1> counts_{};
  std::atomic<std::int64_t> sum_ns_{0};
};

}  // namespace mooncake::transfer
