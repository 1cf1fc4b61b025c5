#include "conductor/admission.h"

#include <fmt/core.h>

#include <algorithm>

namespace mooncake::conductor {
namespace {

// Before this has passed a retry would find the same reports.
constexpr Nanos kRetryAfterMin = Millis(250);

std::string seconds(Nanos time) { return fmt::format("{:.3f} s", to_ms(time) / 1e3); }

std::optional<Refusal> judge_ttft(Nanos objective, const Placed& placed) {
  const Candidate& prefill = placed.prefill;
  const Nanos needed = prefill.ttft + placed.ttft_margin;
  if (needed <= objective) return std::nullopt;
  const std::string what = fmt::format("predicted TTFT {}, with a margin of {}, breaks the objective {}",
                                       seconds(prefill.ttft), seconds(placed.ttft_margin), seconds(objective));
  // The queue drains a second a second, so the excess is over when it has passed.
  const Nanos retry_after = std::max(needed - objective, kRetryAfterMin);
  if (prefill.prefill > objective) {
    return Refusal{what + fmt::format(": computing this prompt alone takes {}", seconds(prefill.prefill)), retry_after};
  }
  return Refusal{what + fmt::format(": {} of it in the queue, {} for the transfer", seconds(prefill.queue),
                                    seconds(prefill.transfer)),
                 retry_after};
}

}  // namespace

std::optional<Refusal> judge(AdmissionPolicy policy, const Slo& slo, const Placed& placed) {
  if (placed.decode.fit == DecodeFit::kNever) {
    return Refusal{"prompt and longest answer need more KVCache than any decode instance has; ask for fewer tokens",
                   Nanos{0}};
  }
  if (policy == AdmissionPolicy::kNone) return std::nullopt;
  if (auto refusal = judge_ttft(slo.ttft, placed)) return refusal;
  if (policy == AdmissionPolicy::kBaseline) return std::nullopt;
  return judge_decode(
      {.objective = slo.tbt, .decode = placed.decode, .margin = placed.tbt_margin, .drain = placed.decode_drain});
}

std::optional<Refusal> judge_decode(const PlacedDecode& placed) {
  const Nanos retry_after = std::max(placed.drain, kRetryAfterMin);
  if (placed.decode.fit == DecodeFit::kFull) return Refusal{"every decode instance is full", retry_after};
  if (placed.decode.tbt + placed.margin > placed.objective) {
    return Refusal{fmt::format("predicted time between tokens {}, with a margin of {}, breaks the objective {}",
                               seconds(placed.decode.tbt), seconds(placed.margin), seconds(placed.objective)),
                   retry_after};
  }
  return std::nullopt;
}

}  // namespace mooncake::conductor
