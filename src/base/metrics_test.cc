#include "base/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace mooncake {
namespace {

using testing::HasSubstr;

TEST(Metrics, SameNameAndLabelsIsTheSameMetric) {
  Metrics metrics;
  auto& first = metrics.counter("mooncake_base_hits_total", "Hits.", {{"transport", "tcp"}});
  auto& again = metrics.counter("mooncake_base_hits_total", "Hits.", {{"transport", "tcp"}});
  auto& other = metrics.counter("mooncake_base_hits_total", "Hits.", {{"transport", "shm"}});
  EXPECT_EQ(&first, &again);
  EXPECT_NE(&first, &other);
}

TEST(Metrics, ScrapeIsPrometheusText) {
  Metrics metrics;
  metrics.counter("mooncake_base_hits_total", "Hits.", {{"transport", "tcp"}}).Increment(3);
  metrics.gauge("mooncake_base_pool_bytes", "Pool.").Set(4096);
  metrics.histogram("mooncake_base_wait_ms", "Wait.", {1, 10}).Observe(5);
  const std::string text = metrics.scrape();
  EXPECT_THAT(text, HasSubstr("# TYPE mooncake_base_hits_total counter\n"));
  EXPECT_THAT(text, HasSubstr("mooncake_base_hits_total{transport=\"tcp\"} 3"));
  EXPECT_THAT(text, HasSubstr("mooncake_base_pool_bytes 4096"));
  EXPECT_THAT(text, HasSubstr("mooncake_base_wait_ms_bucket{le=\"1\"} 0"));
  EXPECT_THAT(text, HasSubstr("mooncake_base_wait_ms_bucket{le=\"10\"} 1"));
}

TEST(Metrics, RefreshRunsBeforeEachScrape) {
  Metrics metrics;
  auto& gauge = metrics.gauge("mooncake_base_queue_length", "Queue.");
  int length = 0;
  metrics.on_scrape([&] { gauge.Set(++length); });
  EXPECT_THAT(metrics.scrape(), HasSubstr("mooncake_base_queue_length 1"));
  EXPECT_THAT(metrics.scrape(), HasSubstr("mooncake_base_queue_length 2"));
}

TEST(Metrics, CollectedFamiliesAreShownBesideTheOthers) {
  Metrics metrics;
  metrics.counter("mooncake_base_hits_total", "Hits.").Increment();
  double value = 0;
  metrics.on_collect([&value] {
    prometheus::ClientMetric metric;
    metric.counter.value = ++value;
    return std::vector<prometheus::MetricFamily>{
        {"mooncake_base_misses_total", "Misses.", prometheus::MetricType::Counter, {metric}}};
  });
  EXPECT_THAT(metrics.scrape(), HasSubstr("mooncake_base_misses_total 1"));
  const std::string text = metrics.scrape();
  EXPECT_THAT(text, HasSubstr("mooncake_base_misses_total 2"));
  EXPECT_THAT(text, HasSubstr("mooncake_base_hits_total 1"));
}

TEST(Metrics, LatencyBoundsRiseFromATenthOfAMillisecondToAHundredSeconds) {
  const std::vector<double> bounds = Metrics::latency_bounds_ms();
  EXPECT_DOUBLE_EQ(bounds.front(), 0.1);
  EXPECT_DOUBLE_EQ(bounds.back(), 100'000);
  EXPECT_TRUE(std::ranges::is_sorted(bounds));
  EXPECT_EQ(std::ranges::adjacent_find(bounds), bounds.end());
}

}  // namespace
}  // namespace mooncake
