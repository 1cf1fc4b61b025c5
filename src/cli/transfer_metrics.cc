#include "cli/transfer_metrics.h"

namespace mooncake::cli {

void export_transfer_stats(const transfer::TransferEngine& engine, Metrics& metrics) {
  metrics.on_scrape([&engine, &metrics] {
    for (const transfer::TransferStats& stats : engine.stats()) {
      const MetricLabels labels = {{"transport", stats.transport}, {"peer", stats.peer}};
      // Gauges, because the engine keeps the counts; they begin at zero with the process and never fall.
      metrics.gauge("mooncake_transfer_bytes_sent", "Bulk payload that left this process for a peer, bytes.", labels)
          .Set(static_cast<double>(stats.bytes_sent));
      metrics.gauge("mooncake_transfer_bytes_received", "Bulk payload that arrived here from a peer, bytes.", labels)
          .Set(static_cast<double>(stats.bytes_received));
      metrics.gauge("mooncake_transfer_batches_failed", "Batches with a peer that failed.", labels)
          .Set(static_cast<double>(stats.batches_failed));
      metrics.gauge("mooncake_transfer_slices_retried", "Pieces of batches that were begun again.", labels)
          .Set(static_cast<double>(stats.slices_retried));
      metrics.gauge("mooncake_transfer_connections_lost", "Connections that were lost while the peer lived on.", labels)
          .Set(static_cast<double>(stats.connections_lost));
    }
  });
}

}  // namespace mooncake::cli
