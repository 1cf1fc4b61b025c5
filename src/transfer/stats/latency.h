// LatencyHistogram: how long things took, in buckets of fixed bounds, each twice the one before. Observing is two
// additions: no lock, no allocation. One thread observes; any may take a snapshot, perhaps in the middle of that.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstdint>
#include <numeric>

#include "base/time.h"
#include "transfer/stats/counter.h"

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
    counts_[bucket(took)].add();
    sum_ns_.add(static_cast<std::uint64_t>(took.count()));
  }
  [[nodiscard]] LatencyCounts snapshot() const {
    LatencyCounts copy;
    for (std::size_t i = 0; i < counts_.size(); ++i) copy.counts[i] = counts_[i].value();
    copy.sum = Nanos(static_cast<std::int64_t>(sum_ns_.value()));
    return copy;
  }

  /// The bucket of a duration: bounds belong to the bucket below them, as Prometheus counts.
  [[nodiscard]] static constexpr std::size_t bucket(Nanos took) {
    if (took <= kLatencyMin) return 0;
    const auto units = static_cast<std::uint64_t>((took - Nanos(1)) / Nanos(kLatencyMin));
    return std::min<std::size_t>(std::bit_width(units), kLatencyBounds);
  }

 private:
  std::array<Counter, kLatencyBounds + 1> counts_;
  Counter sum_ns_;
};

}  // namespace mooncake::transfer
