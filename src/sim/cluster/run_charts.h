// The charts of a simulated run: how TTFT and TBT are distributed, and what happened when. Pure.
#pragma once

#include <vector>

#include "kvcache/slo.h"
#include "sim/cluster/cluster_timeline.h"
#include "sim/report/report.h"

namespace mooncake::sim {

/// Distributions, then figures over time with a point for each window of `timeline`. What nothing is known of is left
/// out: latencies if nothing was completed, decode if nobody came there, reuse if no prompt had blocks.
std::vector<Chart> run_charts(const kvcache::Slo& slo, const ClusterResult& result, const ClusterTimeline& timeline);

}  // namespace mooncake::sim
