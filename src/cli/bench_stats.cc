#include "cli/bench_stats.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/rng.h"

namespace mooncake::cli {

double percentile(std::span<const double> samples, double percent) {
  if (samples.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::vector<double> sorted(samples.begin(), samples.end());
  std::ranges::sort(sorted);
  const double rank = std::clamp(percent, 0.0, 100.0) / 100 * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(rank);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], rank - static_cast<double>(below));
}

double mean(std::span<const double> samples) {
  return std::accumulate(samples.begin(), samples.end(), 0.0) / static_cast<double>(samples.size());
}

std::vector<double> poisson_arrivals(double rate, double duration_s, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<double> arrivals;
  // Gaps between arrivals are exponential; 1 - uniform() is never 0.
  double at = -std::log(1 - rng.uniform()) / rate;
  while (at < duration_s) {
    arrivals.push_back(at);
    at += -std::log(1 - rng.uniform()) / rate;
  }
  return arrivals;
}

}  // namespace mooncake::cli
