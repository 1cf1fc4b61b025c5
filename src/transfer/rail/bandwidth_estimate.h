// BandwidthEstimate: how fast one rail is, from the completions of its slices.
//
// What is measured is the rail and not the slice: bytes completed / time in which anything was in flight. A slice that
// waits behind nine others takes ten times as long, and the rail is as fast as before. Completions that come in bunches
// (several connections, one wakeup) are summed until at least kSampleTime has been busy; that is one sample.
//
//   estimate += a x (median of the last three samples - estimate),   a = 1 - e^(-dt / kSmoothing), at most 1/4
//
// where dt is the busy time of the sample: so a second of measurements weighs the same, cut into however many samples.
// The median keeps a single outlier out altogether: a retransmission that stalls the rail for 200 ms is not a slow
// rail, but two such samples in a row are. Smoothing begins after three samples; before, the estimate is the median,
// with the prior in the place of what is missing: a wrong prior is forgotten with the second sample.
//
// A rail that looks slow is given nothing, and could not show that it is fast again. So an estimate that is below the
// prior doubles with every kForget in which it was idle, up to the prior, and is measured from there.
//
// Pure: the owner passes `now`, which must not decrease. Thread-compatible.
#pragma once

#include <array>
#include <cstddef>

#include "base/time.h"

namespace mooncake::transfer {

/// Some 25 slices of RDMA, or one of TCP: long against the wakeups that bunch completions, short against kSmoothing.
inline constexpr Nanos kSampleTime = Millis(1);
/// A rail that becomes half as fast is known to be within a third of the truth after two of these.
inline constexpr Nanos kSmoothing = Millis(100);
/// A rail at 1 % of its prior is tried again after 13 s, and a slice of 1 MiB is then late by a tenth of a second:
/// under 1 % of what goes by. Longer, and a rail that stood still once, because its machine was busy, would be missed.
inline constexpr Nanos kForget = Seconds(2);
/// What begins on an idle rail and is shorter tells of latency: at 25 GB/s this moves in 2.6 us, as long as the way
/// there and back.
inline constexpr std::size_t kMeasuredBytesMin = 64u << 10;

class BandwidthEstimate {
 public:
  /// `prior_bytes_per_s` > 0 is taken for true until there are samples.
  explicit BandwidthEstimate(double prior_bytes_per_s);

  /// A slice is in flight from now on.
  void on_started(Instant now);
  /// A slice of `bytes` > 0 has arrived.
  void on_done(std::size_t bytes, Instant now);
  /// A slice failed or was given up: the time since the last report tells nothing.
  void on_lost(Instant now);

  /// Never 0.
  [[nodiscard]] double bytes_per_s(Instant now) const;

 private:
  void leave(Instant now);
  void add_sample();
  void restart(double from);

  double prior_;
  double estimate_ = 0;
  std::array<double, 3> last_{};  ///< samples, or what stands for those that are missing
  std::size_t samples_ = 0;       ///< since the last restart

  std::size_t in_flight_ = 0;
  Instant since_{};        ///< busy: up to where its time is accounted for. Idle: since when
  bool was_idle_ = false;  ///< busy: nothing was reported since it was idle
  Nanos idle_{};           ///< without a completion, before `since_`

  double bytes_ = 0;  ///< of the sample that is being summed
  Nanos busy_{};
};

}  // namespace mooncake::transfer
