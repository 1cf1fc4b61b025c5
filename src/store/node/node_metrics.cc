#include "store/node/node_metrics.h"

#include "base/metrics.h"

namespace mooncake::store {
namespace {

constexpr char kPuts[] = "mooncake_store_node_puts_total";
constexpr char kPutsHelp[] = "Objects put, by what came of them";
constexpr char kGets[] = "mooncake_store_node_gets_total";
constexpr char kGetsHelp[] = "Objects asked for, by what came of them";

}  // namespace

NodeMetrics::NodeMetrics(Metrics& metrics)
    : objects(metrics.gauge("mooncake_store_node_objects", "Objects in the pool")),
      bytes_used(metrics.gauge("mooncake_store_node_used_bytes", "Bytes of the pool's pages in use")),
      bytes_capacity(metrics.gauge("mooncake_store_node_capacity_bytes", "Bytes of the pool")),
      joined(metrics.gauge("mooncake_store_node_joined", "1 while a master knows this node")),
      hits(metrics.counter(kGets, kGetsHelp, {{"result", "hit"}})),
      misses(metrics.counter(kGets, kGetsHelp, {{"result", "miss"}})),
      puts_stored(metrics.counter(kPuts, kPutsHelp, {{"result", "stored"}})),
      puts_existing(metrics.counter(kPuts, kPutsHelp, {{"result", "existing"}})),
      puts_failed(metrics.counter(kPuts, kPutsHelp, {{"result", "failed"}})),
      evictions(metrics.counter("mooncake_store_node_evictions_total", "Objects evicted to make room")),
      corrupt(metrics.counter("mooncake_store_node_corrupt_total", "Objects refused or dropped for their checksum")),
      bytes_in(metrics.counter("mooncake_store_node_received_bytes_total", "Bytes of objects put")),
      bytes_out(metrics.counter("mooncake_store_node_sent_bytes_total", "Bytes of objects got")),
      publish_ms(metrics.histogram("mooncake_store_node_publish_duration_ms", "Round trip of a publication",
                                   Metrics::latency_bounds_ms())),
      put_ms(metrics.histogram("mooncake_store_node_put_duration_ms", "A put message, publication included",
                               Metrics::latency_bounds_ms())),
      get_ms(metrics.histogram("mooncake_store_node_get_duration_ms", "A get message, transfer included",
                               Metrics::latency_bounds_ms())) {}

}  // namespace mooncake::store
