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
  const Nanos duration = now - at->second;
  joined_.erase(at);
  mean_ += (duration - mean_) / kMeanWeight;
  if (recent_.size() == kDurationsMax) {
    sorted_.erase(std::ranges::lower_bound(sorted_, recent_.front()));
    recent_.pop_front();
  }
  recent_.push_back(duration);
  sorted_.insert(std::ranges::upper_bound(sorted_, duration), duration);
}

Nanos DecodeDurations::until_one_ends(std::uint32_t running) const {
  return mean_ / std::max<std::uint32_t>(running, 1);
}

double DecodeDurations::survival(Nanos age) const {
  if (sorted_.empty()) return 1;
  const auto longer = sorted_.end() - std::ranges::upper_bound(sorted_, age);
  return (static_cast<double>(longer) + 1) / (static_cast<double>(sorted_.size()) + 1);
}

}  // namespace mooncake::conductor
