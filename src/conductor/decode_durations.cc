#include "conductor/decode_durations.h"

#include <algorithm>

namespace mooncake::conductor {
namespace {

// The mean follows the last ten requests or so.
constexpr int kMeanWeight = 10;

}  // namespace

void DecodeDurations::end(RequestNumber request, Instant now) {
  const auto at = joined_.find(request);
  if (at == joined_.end()) return;
  mean_ += (now - at->second - mean_) / kMeanWeight;
  joined_.erase(at);
}

Nanos DecodeDurations::until_one_ends(std::uint32_t running) const {
  return mean_ / std::max<std::uint32_t>(running, 1);
}

}  // namespace mooncake::conductor
