// Link: a node's way out to the others. What is sent goes out in order, one after the other, each at the full rate.
//
// Pure; thread-compatible.
#pragma once

#include <algorithm>

#include "base/time.h"

namespace mooncake::sim {

class Link {
 public:
  /// `bytes_per_ms` is above 0; `latency` passes after the last byte has left.
  Link(double bytes_per_ms, Nanos latency) : bytes_per_ms_(bytes_per_ms), latency_(latency) {}

  /// Appends `bytes`. @return when they have arrived.
  Instant send(double bytes, Instant now) {
    free_at_ = std::max(free_at_, now) + from_ms(bytes / bytes_per_ms_);
    return free_at_ + latency_;
  }

 private:
  double bytes_per_ms_;
  Nanos latency_;
  Instant free_at_{};
};

}  // namespace mooncake::sim
