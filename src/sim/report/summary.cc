#include "sim/report/summary.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"

namespace mooncake::sim {

double nearest_rank(std::span<const double> sorted, double percent) {
  CHECK(!sorted.empty() && percent > 0 && percent <= 100);
  const double rank = std::ceil(percent / 100 * static_cast<double>(sorted.size()));
  return sorted[std::max<std::size_t>(static_cast<std::size_t>(rank), 1) - 1];
}

Summary summarize(std::vector<double> samples) {
  if (samples.empty()) return {};
  std::ranges::sort(samples);
  const double sum = std::accumulate(samples.begin(), samples.end(), 0.0);
  return {.mean = sum / static_cast<double>(samples.size()),
          .p25 = nearest_rank(samples, 25),
          .p50 = nearest_rank(samples, 50),
          .p75 = nearest_rank(samples, 75),
          .p90 = nearest_rank(samples, 90),
          .p99 = nearest_rank(samples, 99),
          .max = samples.back()};
}

}  // namespace mooncake::sim
