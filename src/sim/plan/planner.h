// Planner: the smallest clusters that serve a trace within its objectives, for each size of memory and of SSDs, and
// each network.
//
// For given memory and network it looks for the least prefill nodes that keep the TTFT when decode is no matter, then
// for the least decode nodes that keep both with prefill to spare, and then adds a node where it helps most until the
// pair itself does. More nodes of a kind never hurt, so both are found by doubling and bisection.
//
// Pure; deterministic but for `progress`.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "sim/cluster/cluster.h"
#include "sim/cluster/cluster_report.h"

namespace mooncake::sim {

struct PlanQuestion {
  kvcache::Slo slo{};
  double target = 0.99;  ///< share of the requests that have to meet both, above 0 and at most 1
  double speed = 1;      ///< the trace's arrivals come so many times as fast
  kvcache::CostProfile profile{};
  std::vector<double> memory_gb{};   ///< for KVCache, of a prefill node; each is tried
  std::vector<double> ssd_gb = {0};  ///< likewise, below memory; 0: none
  double ssd_gbps = 56;              ///< what a node reads from them
  std::vector<double> link_gbps{};   ///< likewise
  std::function<void(const std::string&)> progress = [](const std::string&) {};
};

/// More than this many nodes of a role are not looked for.
inline constexpr std::uint32_t kPlanNodesMax = 256;

struct PlannedCluster {
  std::uint32_t prefill = 0;
  std::uint32_t decode = 0;
  double memory_gb = 0;
  double ssd_gb = 0;
  double link_gbps = 0;
  ClusterReport report;

  [[nodiscard]] std::uint32_t nodes() const { return prefill + decode; }
};

/// The clusters that reach the target, fewest nodes first, then least memory, then least SSD, then the slowest
/// network. Empty if none does with kPlanNodesMax.
/// @return kInvalidArgument for a target, memory, SSDs or network out of range.
Result<std::vector<PlannedCluster>> plan(const Trace& trace, const PlanQuestion& question);

}  // namespace mooncake::sim
