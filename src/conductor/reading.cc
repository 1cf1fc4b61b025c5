#include "conductor/reading.h"

namespace mooncake::conductor {

Readings readings_of(const Candidate& candidate, NodeId node, std::uint32_t block_tokens,
                     const kvcache::CostModel& cost) {
  Readings readings;
  if (candidate.ssd_blocks > 0) {
    readings.push_back({node, Outlet::kSsd, cost.read_ssd(candidate.ssd_blocks * block_tokens)});
  }
  if (candidate.reused_blocks <= candidate.local_prefix_blocks) return readings;
  const std::uint32_t fetched = candidate.reused_blocks - candidate.local_prefix_blocks;
  readings.push_back({candidate.fetch_from, Outlet::kLink, cost.transfer(fetched * block_tokens, false)});
  if (candidate.fetched_ssd_blocks > 0) {
    const Nanos read = cost.read_ssd(candidate.fetched_ssd_blocks * block_tokens);
    readings.push_back({candidate.fetch_from, Outlet::kSsd, read});
  }
  return readings;
}

}  // namespace mooncake::conductor
