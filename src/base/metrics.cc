#include "base/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <iterator>

namespace mooncake {

prometheus::Counter& Metrics::counter(const std::string& name, const std::string& help, const MetricLabels& labels) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(*registry_).Add(labels);
}

prometheus::Gauge& Metrics::gauge(const std::string& name, const std::string& help, const MetricLabels& labels) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(*registry_).Add(labels);
}

prometheus::Histogram& Metrics::histogram(const std::string& name, const std::string& help,
                                          const std::vector<double>& bounds, const MetricLabels& labels) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(*registry_).Add(labels, bounds);
}

void Metrics::on_scrape(std::function<void()> refresh) {
  const MutexLock lock(mutex_);
  refreshers_.push_back(std::move(refresh));
}

void Metrics::on_collect(std::function<std::vector<prometheus::MetricFamily>()> collect) {
  const MutexLock lock(mutex_);
  collectors_.push_back(std::move(collect));
}

std::string Metrics::scrape() {
  decltype(refreshers_) refreshers;
  decltype(collectors_) collectors;
  {
    const MutexLock lock(mutex_);
    refreshers = refreshers_;
    collectors = collectors_;
  }
  for (const auto& refresh : refreshers) refresh();
  std::vector<prometheus::MetricFamily> families = registry_->Collect();
  for (const auto& collect : collectors) std::ranges::move(collect(), std::back_inserter(families));
  return prometheus::TextSerializer().Serialize(families);
}

std::vector<double> Metrics::latency_bounds_ms() {
  std::vector<double> bounds;
  for (double decade = 0.1; decade < 100'000; decade *= 10) {
    for (const double step : {1.0, 2.0, 5.0}) bounds.push_back(decade * step);
  }
  bounds.push_back(100'000);
  return bounds;
}

}  // namespace mooncake
