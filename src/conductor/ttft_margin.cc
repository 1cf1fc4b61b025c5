#include "conductor/ttft_margin.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace mooncake::conductor {
namespace {

// RFC 6298, section 2: gains of 1/8 and 1/4, four deviations, and half of the first measurement as its deviation.
constexpr int kErrorGain = 8;
constexpr int kDeviationGain = 4;
constexpr int kDeviations = 4;

}  // namespace

void TtftMargin::first_token(RequestNumber request, Instant now) {
  const auto at = expected_.find(request);
  if (at == expected_.end()) return;
  const Nanos error = (now - at->second.accepted) - at->second.predicted;
  expected_.erase(at);
  if (!observed_) {
    error_ = error;
    deviation_ = std::chrono::abs(error) / 2;
  } else {
    deviation_ += (std::chrono::abs(error - error_) - deviation_) / kDeviationGain;
    error_ += (error - error_) / kErrorGain;
  }
  observed_ = now;
}

Nanos TtftMargin::margin(Nanos objective, Instant now) const {
  const double guess = to_ms(objective) * kMarginFirstGuess;
  if (!observed_) return from_ms(guess);
  const double learned = std::clamp(to_ms(error_ + kDeviations * deviation_), 0.0, to_ms(objective) * kMarginMax);
  const double weight = std::exp2(-to_ms(now - *observed_) / to_ms(kMarginHalfLife));
  return from_ms(weight * learned + (1 - weight) * guess);
}

}  // namespace mooncake::conductor
