#include "cli/bench_stats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace mooncake::cli {
namespace {

TEST(BenchStats, PercentilesInterpolateLikeNumpy) {
  const std::vector<double> samples = {40, 10, 30, 20};
  EXPECT_DOUBLE_EQ(percentile(samples, 0), 10);
  EXPECT_DOUBLE_EQ(percentile(samples, 50), 25);
  EXPECT_DOUBLE_EQ(percentile(samples, 90), 37);
  EXPECT_DOUBLE_EQ(percentile(samples, 100), 40);
  EXPECT_DOUBLE_EQ(percentile(samples, 200), 40);
  EXPECT_DOUBLE_EQ(percentile(std::vector<double>{7}, 99), 7);
}

TEST(BenchStats, NothingHasNoPercentileAndNoMean) {
  EXPECT_TRUE(std::isnan(percentile({}, 50)));
  EXPECT_TRUE(std::isnan(mean({})));
}

TEST(BenchStats, ArrivalsHaveTheRateAndTheSpreadOfAPoissonProcess) {
  const auto arrivals = poisson_arrivals(50, 1000, 3);
  EXPECT_TRUE(std::ranges::is_sorted(arrivals));
  EXPECT_LT(arrivals.back(), 1000);
  EXPECT_NEAR(static_cast<double>(arrivals.size()), 50'000, 4 * std::sqrt(50'000));
  std::vector<double> gaps;
  for (std::size_t i = 1; i < arrivals.size(); ++i) gaps.push_back(arrivals[i] - arrivals[i - 1]);
  EXPECT_NEAR(percentile(gaps, 50), std::log(2) / 50, 0.0005) << "exponential gaps";
  EXPECT_EQ(arrivals, poisson_arrivals(50, 1000, 3));
  EXPECT_NE(arrivals, poisson_arrivals(50, 1000, 4));
}

}  // namespace
}  // namespace mooncake::cli
