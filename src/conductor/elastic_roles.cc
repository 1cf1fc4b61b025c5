#include "conductor/elastic_roles.h"

#include <algorithm>
#include <cmath>

namespace mooncake::conductor {

void ElasticRoles::judged(bool breaks_ttft, bool breaks_tbt) {
  judged_ += 1;
  broken_ttft_ += breaks_ttft;
  broken_tbt_ += breaks_tbt;
}

void ElasticRoles::fade(Instant now) {
  const double kept = std::exp(-to_ms(now - *last_tick_) / to_ms(kSmoothing));
  for (double* const count : {&judged_, &broken_ttft_, &broken_tbt_}) *count *= kept;
}

std::optional<RoleChange> ElasticRoles::tick(const PoolSizes& sizes, Instant now) {
  if (!last_tick_ || now - *last_tick_ > kDwell) {  // nobody has ticked for long: what was counted is of another time
    judged_ = broken_ttft_ = broken_tbt_ = 0;
    settled_ = now + kDwell;
  } else {
    fade(now);
  }
  last_tick_ = now;
  if (sizes.draining > 0) settled_ = now + kDwell;
  if (now < settled_ || judged_ < kJudgedMin) return std::nullopt;
  const double difference = std::abs(broken_tbt_ - broken_ttft_) / judged_;
  const bool prefill_gives = broken_tbt_ > broken_ttft_;
  const std::uint32_t giver = prefill_gives ? sizes.prefill : sizes.decode;
  if (difference < kMargin || giver < 2) return std::nullopt;
  settled_ = now + kDwell;
  return RoleChange{.giver = prefill_gives ? Role::kPrefill : Role::kDecode,
                    .instances = std::max(1u, static_cast<std::uint32_t>(kShareMax * giver * difference))};
}

}  // namespace mooncake::conductor
