// The highest speed of arrivals that something keeps up with: what "how many requests a second can it serve" comes to.
// Pure.
#pragma once

#include <cmath>
#include <functional>

#include "base/status.h"

namespace mooncake::sim {

/// The highest speed from `low` on and below `high`, both above 0, at which `serves` says yes, by bisection to a
/// hundredth; `low` if it never does. `serves` must not say yes again above a speed at which it says no.
/// @return the first error of `serves`.
inline Result<double> highest_speed(double low, double high, const std::function<Result<bool>(double speed)>& serves) {
  while (high / low > 1.01) {
    const double speed = std::sqrt(low * high);
    MC_ASSIGN_OR_RETURN(const bool enough, serves(speed));
    (enough ? low : high) = speed;
  }
  return low;
}

}  // namespace mooncake::sim
