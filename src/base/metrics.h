// Metrics: counters, gauges and histograms in the Prometheus text format, by prometheus-cpp. A process owns one
// registry and passes it down; what it returns lives as long as the registry and may be used from any thread without a
// lock.
//
// Names: mooncake_<layer>_<what>_<unit>[_total], snake_case, unit last.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"

namespace mooncake {

using MetricLabels = std::map<std::string, std::string>;

class Metrics {
 public:
  /// The metric of that name and labels, made at the first call.
  prometheus::Counter& counter(const std::string& name, const std::string& help, const MetricLabels& labels = {});
  prometheus::Gauge& gauge(const std::string& name, const std::string& help, const MetricLabels& labels = {});
  prometheus::Histogram& histogram(const std::string& name, const std::string& help, const std::vector<double>& bounds,
                                   const MetricLabels& labels = {});

  /// `refresh` runs before every scrape, to copy numbers that live elsewhere into gauges. Called under no lock of ours.
  void on_scrape(std::function<void()> refresh);
  /// Families of metrics that are counted elsewhere, told anew at every scrape. Their names are not to be used in the
  /// functions above. Called under no lock of ours.
  void on_collect(std::function<std::vector<prometheus::MetricFamily>()> collect);

  /// Everything, as `GET /metrics` answers it (content type "text/plain; version=0.0.4").
  [[nodiscard]] std::string scrape();

  /// Bounds for latencies: 0.1 ms to 100 s, about three a decade, in milliseconds.
  static std::vector<double> latency_bounds_ms();

 private:
  // Shared because that is what the library's own exposers take.
  std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  Mutex mutex_;
  std::vector<std::function<void()>> refreshers_ GUARDED_BY(mutex_);
  std::vector<std::function<std::vector<prometheus::MetricFamily>()>> collectors_ GUARDED_BY(mutex_);
};

}  // namespace mooncake
