// The cluster of the paper's evaluation, from which experiments vary one thing. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "sim/cluster/cluster.h"
#include "sim/cluster/cluster_report.h"

namespace mooncake::sim {

/// 3 million tokens of KVCache in a node's memory, a terabyte (FAST'25, Figure 10).
inline constexpr std::uint64_t kPaperCacheBlocks = 3'000'000 / kTraceBlockTokens;

/// LLaMA3-70B on nodes of eight A800 with four 200 Gb/s links; TTFT within 30 s, TBT within `tbt`.
ClusterConfig paper_cluster(std::uint32_t prefill, std::uint32_t decode, Nanos tbt = Millis(100));

/// Runs and reports. @return what run_cluster() refuses.
Result<ClusterReport> run_and_report(const Trace& trace, const ClusterConfig& config);

/// "5P11D".
std::string split_name(std::uint32_t prefill, std::uint32_t decode);

}  // namespace mooncake::sim
