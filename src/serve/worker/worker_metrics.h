// WorkerMetrics: what a worker counts. Registered once; safe from any thread.
#pragma once

#include "base/metrics.h"

namespace mooncake::serve {

struct WorkerMetrics {
  explicit WorkerMetrics(Metrics& metrics, const std::string& role);

  prometheus::Counter& requests;  ///< accepted
  prometheus::Counter& refused;   ///< before any work: full, draining, more outstanding than expected, bad
  prometheus::Counter& completed;
  prometheus::Counter& failed;
  prometheus::Counter& cancelled;        ///< by a gateway, or because it was lost
  prometheus::Counter& recovered;        ///< continued after another worker was lost
  prometheus::Counter& tokens_computed;  ///< prefill: of prompts; decode: of answers
  prometheus::Counter& tokens_reused;    ///< imported from the store
  prometheus::Counter& tokens_replayed;  ///< decode: answer tokens that a recovery fed again
  prometheus::Counter& kv_bytes_sent;    ///< prefill: of requests that decode took over
  prometheus::Counter& kv_bytes_landed;  ///< decode: verified, of the same requests
  prometheus::Counter& blocks_published;
  prometheus::Counter& blocks_unpublished;  ///< could not be put to the store, or there was no buffer
  prometheus::Counter& blocks_replicated;   ///< put to the own node, which others held
  prometheus::Counter& blocks_corrupt;      ///< arrived with a wrong checksum
  prometheus::Gauge& queued;
  prometheus::Gauge& running;
  prometheus::Gauge& arena_bytes_used;
  prometheus::Gauge& arena_bytes_max;
  prometheus::Histogram& step_ms;      ///< prefill: a chunk; decode: a step
  prometheus::Histogram& queue_ms;     ///< prefill: arrival to start; decode: joined to first step
  prometheus::Histogram& fetch_ms;     ///< prefill: of the prefix, not hidden by the queue
  prometheus::Histogram& transfer_ms;  ///< prefill: last chunk computed to decode joined
};

}  // namespace mooncake::serve
