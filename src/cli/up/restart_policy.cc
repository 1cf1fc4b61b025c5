#include "cli/up/restart_policy.h"

#include <algorithm>

namespace mooncake::cli {

Nanos RestartPolicy::on_death(Instant now) {
  if (now - started_ >= kLivedLongEnough) pause_ = Nanos{0};
  const Nanos wait = pause_;
  pause_ = std::clamp<Nanos>(2 * pause_, kRestartPauseMin, kRestartPauseMax);
  return wait;
}

}  // namespace mooncake::cli
