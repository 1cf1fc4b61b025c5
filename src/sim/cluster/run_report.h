// A simulated run as a report with charts: distributions, what happened when, who was busy, who was refused and why.
// Pure.
#pragma once

#include "sim/cluster/cluster.h"
#include "sim/report/report.h"

namespace mooncake::sim {

/// Times are virtual, so equal runs give equal reports. `setting` has the cluster; the caller adds the trace's name.
/// Instances are named one by one up to kInstancesShownMax of a role.
Report run_report(const Trace& trace, const ClusterConfig& config, const ClusterResult& result);

}  // namespace mooncake::sim
