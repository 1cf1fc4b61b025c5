// Summary: what people ask of many numbers. Pure.
#pragma once

#include <span>
#include <vector>

namespace mooncake::sim {

/// The smallest sample that at least `percent` of the samples do not exceed (nearest rank, without interpolation), as
/// the paper's percentiles are. `sorted` ascends and is not empty; 0 < percent <= 100.
double nearest_rank(std::span<const double> sorted, double percent);

struct Summary {
  double mean = 0;
  double p25 = 0;
  double p50 = 0;
  double p75 = 0;
  double p90 = 0;
  double p99 = 0;
  double max = 0;
};

/// All zeros without samples. O(n log n).
Summary summarize(std::vector<double> samples);

}  // namespace mooncake::sim
