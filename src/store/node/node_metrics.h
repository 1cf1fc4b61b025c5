// NodeMetrics: what a node counts, as /metrics shows it.
#pragma once

#include <cstdint>

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
}  // namespace prometheus

namespace mooncake {
class Metrics;
}

namespace mooncake::store {

/// The metrics live in the registry; any thread may count.
struct NodeMetrics {
  explicit NodeMetrics(Metrics& metrics);

  prometheus::Gauge& objects;
  prometheus::Gauge& bytes_used;
  prometheus::Gauge& bytes_capacity;
  prometheus::Gauge& joined;
  prometheus::Counter& hits;
  prometheus::Counter& misses;
  prometheus::Counter& puts_stored;
  prometheus::Counter& puts_existing;
  prometheus::Counter& puts_failed;
  prometheus::Counter& evictions;
  prometheus::Counter& corrupt;
  prometheus::Counter& bytes_in;
  prometheus::Counter& bytes_out;
  prometheus::Histogram& publish_ms;
  prometheus::Histogram& put_ms;
  prometheus::Histogram& get_ms;
};

}  // namespace mooncake::store
