#include "conductor/admission.h"

#include <fmt/core.h>

#include <algorithm>

namespace mooncake::conductor {
namespace {

// Before this has passed a retry would find the same reports.
constexpr Nanos kRetryAfterMin = Millis(250);

std::string seconds(Nanos time) { return fmt::format("{:.3f} s", to_ms(time) / 1e3); }

/// What a request may use of an objective. The objective itself, to the nanosecond, where that is all of it.
Nanos part_of(Nanos objective, double share) { return share == 1 ? objective : from_ms(to_ms(objective) * share); }

/// "the objective 30.000 s", or the part of it.
std::string shown_objective(Nanos objective, double share) {
  if (share == 1) return "the objective " + seconds(objective);
  return fmt::format("{}, its priority's {:.2f} of the objective {}", seconds(part_of(objective, share)), share,
                     seconds(objective));
}

std::optional<Refusal> judge_ttft(Nanos objective, const Placed& placed) {
  const Candidate& prefill = placed.prefill;
  const Nanos needed = prefill.ttft + placed.ttft_margin;
  const Nanos allowed = part_of(objective, placed.share);
  if (needed <= allowed) return std::nullopt;
  const std::string what = fmt::format("predicted TTFT {}, with a margin of {}, breaks {}", seconds(prefill.ttft),
                                       seconds(placed.ttft_margin), shown_objective(objective, placed.share));
  // The queue drains a second a second, so the excess is over when it has passed.
  const Nanos retry_after = std::max(needed - allowed, kRetryAfterMin);
  if (prefill.prefill > allowed) {
    return Refusal{RefusalKind::kTtftObjective,
                   what + fmt::format(": computing this prompt alone takes {}", seconds(prefill.prefill)), retry_after};
  }
  return Refusal{RefusalKind::kTtftObjective,
                 what + fmt::format(": {} of it in the queue, {} for the transfer", seconds(prefill.queue),
                                    seconds(prefill.transfer)),
                 retry_after};
}

}  // namespace

std::optional<Refusal> judge(AdmissionPolicy policy, const Slo& slo, const Placed& placed) {
  if (placed.decode.fit == DecodeFit::kNever) {
    return Refusal{RefusalKind::kNeverFits,
                   "prompt and longest answer need more KVCache than any decode instance has; ask for fewer tokens",
                   Nanos{0}};
  }
  if (policy == AdmissionPolicy::kNone) return std::nullopt;
  if (auto refusal = judge_ttft(slo.ttft, placed)) return refusal;
  if (policy == AdmissionPolicy::kBaseline) return std::nullopt;
  return judge_decode({.objective = slo.tbt,
                       .decode = placed.decode,
                       .margin = placed.tbt_margin,
                       .drain = placed.decode_drain,
                       .share = placed.share});
}

std::optional<Refusal> judge_decode(const PlacedDecode& placed) {
  const Nanos retry_after = std::max(placed.drain, kRetryAfterMin);
  if (placed.decode.fit == DecodeFit::kFull)
    return Refusal{RefusalKind::kDecodeFull, "every decode instance is full", retry_after};
  if (placed.decode.tbt + placed.margin > part_of(placed.objective, placed.share)) {
    return Refusal{
        RefusalKind::kTbtObjective,
        fmt::format("predicted time between tokens {}, with a margin of {}, breaks {}", seconds(placed.decode.tbt),
                    seconds(placed.margin), shown_objective(placed.objective, placed.share)),
        retry_after};
  }
  return std::nullopt;
}

}  // namespace mooncake::conductor
