#include "conductor/explain.h"

#include <fmt/core.h>

#include "base/check.h"

namespace mooncake::conductor {
namespace {

std::string how(PlacementPolicy policy, const Chosen& chosen) {
  if (chosen.steered) return "placed by the client";
  switch (policy) {
    case PlacementPolicy::kCostMin:
    case PlacementPolicy::kAlgorithm1:
    case PlacementPolicy::kLocal:
      return fmt::format("least predicted TTFT of {}", chosen.prefill_candidates);
    case PlacementPolicy::kRandom:
      return fmt::format("drawn from {}", chosen.prefill_candidates);
    case PlacementPolicy::kRoundRobin:
      return "next in turn";
    case PlacementPolicy::kLeastOutstanding:
      return fmt::format("fewest outstanding prompts of {}", chosen.prefill_candidates);
    case PlacementPolicy::kLeastTime:
      return fmt::format("shortest queue of {}", chosen.prefill_candidates);
  }
  CHECK(false);
}

}  // namespace

std::string explain_accept(PlacementPolicy policy, const Chosen& chosen) {
  const Candidate& prefill = chosen.prefill;
  return fmt::format(
      "{}: TTFT {:.1f} ms on {} (queue {:.1f}, transfer {:.1f}, prefill {:.1f}), reusing {} of {} blocks ({} on its "
      "own "
      "node); decode on {} beside {} requests",
      how(policy, chosen), to_ms(prefill.ttft), chosen.prefill_name, to_ms(prefill.queue), to_ms(prefill.transfer),
      to_ms(prefill.prefill), prefill.reused_blocks, chosen.prompt_blocks, prefill.local_prefix_blocks,
      chosen.decode_name, chosen.decode_requests);
}

std::string explain_shadow(const Refusal& refusal, std::uint32_t needed) {
  return fmt::format("; admission only watches until {} prefills are measured there, and would have refused: {}",
                     needed, refusal.reason);
}

}  // namespace mooncake::conductor
