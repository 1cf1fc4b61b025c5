#include "conductor/prediction_margin.h"

#include <algorithm>
#include <cmath>

namespace mooncake::conductor {
namespace {

// RFC 6298, section 2: gains of 1/8 and 1/4, and half of the first measurement as its deviation.
constexpr double kErrorGain = 0.125;
constexpr double kDeviationGain = 0.25;

/// What an error is a share of.
double scale_ms(const PredictionMargin::Promise& promise) {
  return to_ms(promise.predicted) + to_ms(promise.objective) / 10;
}

}  // namespace

std::optional<Instant> PredictionMargin::accepted(RequestNumber request) const {
  const auto at = expected_.find(request);
  return at == expected_.end() ? std::nullopt : std::optional(at->second.accepted);
}

void PredictionMargin::observe(RequestNumber request, Nanos actual, Instant now) {
  const auto at = expected_.find(request);
  if (at == expected_.end()) return;
  const Promise promise = at->second.promise;
  expected_.erase(at);
  const double scale = scale_ms(promise);
  if (scale <= 0) return;
  const double error = to_ms(actual - promise.predicted) / scale;
  if (!observed_) {
    error_ = error;
    deviation_ = std::abs(error) / 2;
  } else {
    deviation_ += kDeviationGain * (std::abs(error - error_) - deviation_);
    error_ += kErrorGain * (error - error_);
  }
  observed_ = now;
}

Nanos PredictionMargin::margin(const Promise& promise, Instant now) const {
  double share = kMarginFirstGuess;
  if (observed_) {
    const double weight = std::exp2(-to_ms(now - *observed_) / to_ms(kMarginHalfLife));
    share += weight * (error_ + deviations_ * deviation_ - kMarginFirstGuess);
  }
  return from_ms(std::clamp(share * scale_ms(promise), 0.0, kMarginMax * to_ms(promise.objective)));
}

}  // namespace mooncake::conductor
