#include "sim/experiment/paper_cluster.h"

#include <fmt/core.h>

namespace mooncake::sim {

ClusterConfig paper_cluster(std::uint32_t prefill, std::uint32_t decode, Nanos tbt) {
  ClusterConfig config;
  config.prefill = prefill;
  config.decode = decode;
  config.slo = {.ttft = Seconds(30), .tbt = tbt};
  config.profile = kvcache::builtin_profile("llama3-70b@8xA800").value();
  config.cache_blocks_per_node = kPaperCacheBlocks;
  return config;
}

Result<ClusterReport> run_and_report(const Trace& trace, const ClusterConfig& config) {
  MC_ASSIGN_OR_RETURN(const ClusterResult result, run_cluster(trace, config));
  return report_cluster(trace, config.slo, result);
}

std::string split_name(std::uint32_t prefill, std::uint32_t decode) { return fmt::format("{}P{}D", prefill, decode); }

}  // namespace mooncake::sim
