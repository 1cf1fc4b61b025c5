// ClusterReport: a simulated run in figures. Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "kvcache/slo.h"
#include "sim/cluster/cluster.h"
#include "sim/report/summary.h"

namespace mooncake::sim {

struct ClusterReport {
  std::uint64_t requests = 0;
  std::uint64_t completed = 0;
  std::uint64_t rejected = 0;                ///< those after prefill included
  std::uint64_t rejected_after_prefill = 0;  ///< whose prefill was for nothing
  std::uint64_t failed = 0;                  ///< given up after failures of nodes
  double goodput_rps = 0;               ///< requests that met both objectives / span of the arrivals; 0 without span
  double effective_fraction = 0;        ///< the same / all requests
  std::optional<Summary> ttft_s;        ///< over completed requests; nothing: none
  std::optional<Summary> tbt_ms;        ///< over completed requests with gaps, each judged by its longest tenth
  double hit_rate_prefix_block = 0;     ///< blocks that prefills reused / blocks of their prompts
  double prefill_s_mean = 0;            ///< computing and loading, without queue and transfer
  double wasted_prefill_s = 0;          ///< prefill time of requests that were rejected after it
  std::uint64_t transfers = 0;          ///< prefixes that one node fetched from another
  std::uint64_t replicated_blocks = 0;  ///< that a node was sent before a request asked for them
  std::uint64_t ssd_blocks_read = 0;    ///< from a node's SSDs, for itself or another node
  std::uint64_t node_failures = 0;
  std::uint64_t placed_again = 0;  ///< requests that went on elsewhere, once for each time
  std::uint64_t role_changes = 0;
  std::uint32_t prefill_at_end = 0;  ///< nodes
};

/// Whether a request was completed within both objectives.
bool in_time(const kvcache::Slo& slo, const RequestOutcome& outcome);

ClusterReport report_cluster(const Trace& trace, const kvcache::Slo& slo, const ClusterResult& result);

}  // namespace mooncake::sim
