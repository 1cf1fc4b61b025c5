#include "conductor/ttft_margin.h"

#include <algorithm>

namespace mooncake::conductor {
namespace {

// RFC 6298, section 2: gains of 1/8 and 1/4, four deviations.
constexpr int kErrorGain = 8;
constexpr int kDeviationGain = 4;
constexpr int kDeviations = 4;

}  // namespace

TtftMargin::TtftMargin(Nanos objective) : objective_(objective), deviation_(objective / 10 / kDeviations) {}

void TtftMargin::first_token(RequestNumber request, Instant now) {
  const auto at = expected_.find(request);
  if (at == expected_.end()) return;
  const Nanos error = (now - at->second.accepted) - at->second.predicted;
  expected_.erase(at);
  deviation_ += (std::chrono::abs(error - error_) - deviation_) / kDeviationGain;
  error_ += (error - error_) / kErrorGain;
}

Nanos TtftMargin::margin() const { return std::clamp(error_ + kDeviations * deviation_, Nanos{0}, objective_ / 2); }

}  // namespace mooncake::conductor
