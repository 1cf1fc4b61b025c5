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

struct SliceRule {
  std::size_t bytes = 0;  ///< before anything is measured
  Nanos time{};           ///< what a slice should take
  std::size_t bytes_min = 0;
  std::size_t bytes_max = 0;

  /// The bandwidth that makes `bytes` take `time`: the prior of every rail of this kind.
  [[nodiscard]] constexpr double prior_bytes_per_s() const {
    return static_cast<double>(bytes) / std::chrono::duration<double>(time).count();
  }
  /// The length of slices on a rail of this bandwidth.
  [[nodiscard]] std::size_t unit(double bytes_per_s) const;
};

/// 256 KiB in 10 us are 26 GB/s, a NIC of 200 Gb/s, and ten times the cost of posting one. 1 MiB is right for four such
/// NICs behind one name, 64 KiB for one of 50 Gb/s; below that a slice may take longer.
inline constexpr SliceRule kRdmaSlices{
    .bytes = 256u << 10, .time = Micros(10), .bytes_min = 64u << 10, .bytes_max = 1u << 20};

/// 1 MiB in 1 ms is 1 GB/s, a NIC of 10 Gb/s, and long against the system calls and wakeups of a frame. 256 KiB is
/// right for 2 Gb/s. The longest slice is two maxima, half of what a frame can carry.
inline constexpr SliceRule kTcpSlices{
    .bytes = 1u << 20, .time = Millis(1), .bytes_min = 256u << 10, .bytes_max = 2u << 20};

/// The length of the next slice where `rest` bytes of a request are left: all of them if they are less than two units;
/// else an even share, in whole pages, so that no stump is left at the end. At most 2 x unit. `unit` is whole pages.
std::size_t slice_bytes(std::size_t rest, std::size_t unit);

}  // namespace mooncake::transfer
