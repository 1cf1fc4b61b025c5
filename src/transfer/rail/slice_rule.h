// SliceRule: how long slices are, one rule for every kind of rail.
//
// A slice is what one rail moves in about the same time whatever its bandwidth: `time` x measured bandwidth, within
// bounds. Long enough that posting one costs little beside moving it, short enough that work spreads over rails and
// that giving one up or sending it again wastes little. A kind of rail states that time and the length that it stands
// for at first; together they are the bandwidth that a rail is taken to have until it is measured.
#pragma once

#include <cstddef>

#include "base/time.h"

namespace mooncake::transfer {

/// No slice of any transport is longer: a slot of the ring through which memory of a GPU passes holds one (cuda/), also
/// that of a peer, which refuses what does not fit.
inline constexpr std::size_t kSliceBytesMax = 2u << 20;

struct SliceRule {
  std::size_t bytes = 0;  ///< before anything is measured
  Nanos time{};           ///< what a slice should take
  std::size_t bytes_min = 0;
  std::size_t bytes_max = 0;  ///< whole pages, at most kSliceBytesMax

  /// The bandwidth that makes `bytes` take `time`: the prior of every rail of this kind.
  [[nodiscard]] constexpr double prior_bytes_per_s() const {
    return static_cast<double>(bytes) / std::chrono::duration<double>(time).count();
  }
  /// What a rail of this bandwidth moves in `time`, within the bounds.
  [[nodiscard]] std::size_t unit(double bytes_per_s) const;
  /// The length of the next slice on such a rail where `rest` > 0 bytes of a request are left: all of them if they are
  /// less than two units; else an even share of at least a unit, in whole pages, so that no stump is left at the end.
  /// Never above bytes_max.
  [[nodiscard]] std::size_t cut(std::size_t rest, double bytes_per_s) const;
};

/// 256 KiB in 40 us are 6.6 GB/s, a NIC of 50 Gb/s; 1 MiB is right for 200 Gb/s, 64 KiB for 12.5. A slice costs both
/// processors microseconds: a grant is asked for and answered, a window opened and closed, a completion heard. A time
/// that is not long against that would be a trap: where the processor is the limit, short slices make a rail look slow,
/// and a slow rail gets shorter ones.
inline constexpr SliceRule kRdmaSlices{
    .bytes = 256u << 10, .time = Micros(40), .bytes_min = 64u << 10, .bytes_max = 1u << 20};

/// 1 MiB in 1 ms is 1 GB/s, a NIC of 10 Gb/s, and long against the system calls and wakeups of a frame. 256 KiB is
/// right for 2 Gb/s.
inline constexpr SliceRule kTcpSlices{
    .bytes = 1u << 20, .time = Millis(1), .bytes_min = 256u << 10, .bytes_max = kSliceBytesMax};

/// The length of the next slice of what stays on this host, `rest` > 0 bytes: there is one way and nothing to measure.
/// 1 to 2 MiB: a thread that copies takes a MiB at a time, so nothing shorter is served earlier; that takes some 80 us,
/// long against the frames and the wakeup of a slice (shm), the launch of a copy (cuda), or an operation (file).
std::size_t cut_on_host(std::size_t rest);

}  // namespace mooncake::transfer
