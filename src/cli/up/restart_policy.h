// RestartPolicy: when a process of the cluster that died is started again. At once the first time, so that a killed
// worker costs its cluster little; then after a pause that doubles, so that a process that cannot live costs the
// machine little. One that lived long enough is forgiven.
//
// Pure: the owner passes `now`. Thread-compatible.
#pragma once

#include "base/time.h"

namespace mooncake::cli {

inline constexpr Millis kRestartPauseMin{100};
/// A process that cannot start costs one attempt in 10 s: about 1 % of a core.
inline constexpr Millis kRestartPauseMax{10'000};
/// A process that lived this long died of something new.
inline constexpr Millis kLivedLongEnough{10'000};

class RestartPolicy {
 public:
  /// Tells that the process was started.
  void on_start(Instant now) { started_ = now; }

  /// Tells that it died, at any time after on_start(). @return how long to wait before it is started again.
  Nanos on_death(Instant now);

 private:
  Instant started_{};
  Nanos pause_{0};  ///< before the next start, if the process dies young again
};

}  // namespace mooncake::cli
