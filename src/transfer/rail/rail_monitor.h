// RailMonitor: which paths ("rails") between two machines may carry slices right now.
//
// A rail is healthy until an operation on it fails. It then cools down: 1 s the first time, doubling to at most 60 s
// while it keeps failing, so that a dead NIC costs one probe a minute and a hiccup costs a second. When the time is
// over exactly one slice is let through as a probe; its outcome decides between healthy and a longer cool-down.
//
// Pure: no clock, no thread, no I/O. The owner passes `now`, which must not decrease. Thread-compatible.
#pragma once

#include <cstdint>
#include <vector>

#include "base/time.h"

namespace mooncake::transfer {

/// Index of a rail in the topology, 0 to rail_count - 1.
enum class RailId : std::uint32_t {};

inline constexpr Millis kCooldownMin{1'000};
/// One probe a minute: at 100 rails and 256 KiB a probe, under 0.5 MB/s of wasted traffic.
inline constexpr Millis kCooldownMax{60'000};
/// A probe that has not reported by then is taken for failed: its owner died. Longer than any slice deadline.
inline constexpr Millis kProbeTimeout{30'000};

class RailMonitor {
 public:
  explicit RailMonitor(std::uint32_t rail_count);

  /// True if try_use() would be: what to ask of the rails that are only compared. Claims nothing.
  [[nodiscard]] bool can_use(RailId rail, Instant now) const;

  /// True if a slice may be sent on `rail`. On a rail whose cool-down is over, the first call claims the probe and
  /// later calls return false until that probe reports.
  [[nodiscard]] bool try_use(RailId rail, Instant now);

  /// Reports that an operation on `rail` completed. Ends any cool-down at once: a completion is proof.
  void on_success(RailId rail);

  /// Reports that an operation on `rail` failed. Failures of slices that were already in flight when the cool-down
  /// began do not lengthen it: one outage counts once, however many slices it caught.
  void on_failure(RailId rail, Instant now);

  /// Reports that an operation on `rail` was given up for reasons of its own. Proves nothing; but if it was the probe,
  /// the next slice is.
  void on_abandoned(RailId rail, Instant now);

  /// Rails that would accept a slice at `now`, probes included. O(rail_count).
  [[nodiscard]] std::uint32_t usable_count(Instant now) const;

 private:
  enum class Health : std::uint8_t { kHealthy, kCooling, kProbing };
  struct Rail {
    Health health = Health::kHealthy;
    Millis cooldown{0};  ///< length of the current or last cool-down; 0 when none since the last success
    Instant until{};     ///< kCooling: end of the cool-down. kProbing: when the probe counts as lost
  };

  [[nodiscard]] static bool usable(const Rail& rail, Instant now);
  Rail& at(RailId rail);
  [[nodiscard]] const Rail& at(RailId rail) const;

  std::vector<Rail> rails_;
};

}  // namespace mooncake::transfer
