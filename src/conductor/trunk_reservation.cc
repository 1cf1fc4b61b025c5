#include "conductor/trunk_reservation.h"

#include "base/check.h"

namespace mooncake::conductor {

TrunkReservation::Allowance TrunkReservation::allowance(Priority priority, Instant now) const {
  switch (priority) {
    case Priority::kLow:
      return {.share = kLowShare};
    case Priority::kNormal:
      return {.share = high_asked_ && now - *high_asked_ < kHighExpected ? kNormalShareBesideHigh : 1};
    case Priority::kHigh:
      return {.keeps_margin = false};
  }
  CHECK(false);
}

}  // namespace mooncake::conductor
