#include "transfer/rail/slice_rule.h"

#include <algorithm>

#include "base/check.h"

namespace mooncake::transfer {
namespace {

/// Slices of one request begin at multiples of a page, so that copies stay aligned.
constexpr std::size_t kSliceAlign = 4096;

constexpr std::size_t whole_pages(std::size_t bytes) { return (bytes + kSliceAlign - 1) / kSliceAlign * kSliceAlign; }

/// `unit` and `most` are whole pages.
std::size_t even_share(std::size_t rest, std::size_t unit, std::size_t most) {
  CHECK(rest > 0 && unit > 0 && unit <= most);
  const std::size_t count = std::max(rest / unit, (rest + most - 1) / most);
  return std::min(whole_pages((rest + count - 1) / count), rest);
}

}  // namespace

std::size_t SliceRule::unit(double bytes_per_s) const {
  const double wanted = bytes_per_s * std::chrono::duration<double>(time).count();
  // Bounded while it is a real number: an estimate of any size must convert.
  return whole_pages(
      static_cast<std::size_t>(std::clamp(wanted, static_cast<double>(bytes_min), static_cast<double>(bytes_max))));
}

std::size_t SliceRule::cut(std::size_t rest, double bytes_per_s) const {
  return even_share(rest, unit(bytes_per_s), bytes_max);
}

std::size_t cut_on_host(std::size_t rest) { return even_share(rest, kSliceBytesMax / 2, kSliceBytesMax); }

}  // namespace mooncake::transfer
