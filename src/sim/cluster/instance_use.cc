#include "sim/cluster/instance_use.h"

#include <algorithm>

#include "base/check.h"

namespace mooncake::sim {

std::vector<PrefillUse> prefill_use(const Trace& trace, const ClusterResult& result, std::uint32_t instances) {
  CHECK(trace.requests.size() == result.requests.size());
  std::vector<PrefillUse> all(instances);
  for (std::size_t i = 0; i < result.requests.size(); ++i) {
    const RequestOutcome& outcome = result.requests[i];
    if (!outcome.prefilled()) continue;
    CHECK(outcome.prefill < instances);
    PrefillUse& use = all[outcome.prefill];
    ++use.prompts;
    use.wasted += outcome.outcome == Outcome::kRejectedAfterPrefill ? 1 : 0;
    use.busy += outcome.first_token - outcome.prefill_start;
    use.prompt_blocks += trace.requests[i].block_count;
    use.reused_blocks += outcome.reused_blocks;
  }
  return all;
}

std::vector<DecodeUse> decode_use(const ClusterResult& result, std::uint32_t instances) {
  std::vector<const RequestOutcome*> decoded;
  for (const RequestOutcome& outcome : result.requests) {
    if (outcome.outcome == Outcome::kCompleted && outcome.end > outcome.first_token) decoded.push_back(&outcome);
  }
  std::ranges::sort(decoded, {}, &RequestOutcome::first_token);
  std::vector<DecodeUse> all(instances);
  std::vector<Instant> busy_until(instances);
  for (const RequestOutcome* outcome : decoded) {
    CHECK(outcome->decode < instances);
    DecodeUse& use = all[outcome->decode];
    Instant& until = busy_until[outcome->decode];
    ++use.requests;
    use.request_time += outcome->end - outcome->first_token;
    // In the order of their beginnings each adds what lies behind all before it.
    if (outcome->end <= until) continue;
    use.busy += outcome->end - std::max(until, outcome->first_token);
    until = outcome->end;
  }
  return all;
}

}  // namespace mooncake::sim
