#include "serve/openai/stop_matcher.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace mooncake::serve::openai {

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  for (const std::string& stop : stops_) CHECK(!stop.empty());
}

std::string StopMatcher::push(std::string_view piece) {
  if (stopped_) return {};
  if (stops_.empty()) return std::string(piece);
  held_.append(piece);
  std::size_t end = std::string::npos;
  std::size_t begin = std::string::npos;
  for (const std::string& stop : stops_) {
    const std::size_t at = held_.find(stop);
    if (at == std::string::npos) continue;
    const std::size_t completed = at + stop.size();
    if (end == std::string::npos || completed < end || (completed == end && at < begin)) {
      end = completed;
      begin = at;
    }
  }
  stopped_ = end != std::string::npos;
  const std::size_t shown = stopped_ ? begin : held_.size() - held_bytes();
  std::string text = held_.substr(0, shown);
  held_.erase(0, stopped_ ? held_.size() : shown);
  return text;
}

std::string StopMatcher::finish() { return std::exchange(held_, {}); }

// The longest end of held_ that some stop string begins with. Quadratic in the stop string's length, which is limited.
std::size_t StopMatcher::held_bytes() const {
  std::size_t longest = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > longest; --n) {
      if (std::string_view(held_).ends_with(std::string_view(stop).substr(0, n))) {
        longest = n;
        break;
      }
    }
  }
  return longest;
}

}  // namespace mooncake::serve::openai
