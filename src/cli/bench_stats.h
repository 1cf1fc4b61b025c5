// Statistics of a benchmark's samples. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mooncake::cli {

/// The value below which `percent` of the samples lie, interpolated between neighbours (as numpy's default does, so 50
/// is the usual median). `samples` need no order. NaN without samples; `percent` is clamped to 0 to 100. O(n log n).
double percentile(std::span<const double> samples, double percent);

/// NaN without samples.
double mean(std::span<const double> samples);

/// Instants of Poisson arrivals at `rate` a second until `duration_s`, in seconds from the start, ascending. The same
/// seed gives the same arrivals.
std::vector<double> poisson_arrivals(double rate, double duration_s, std::uint64_t seed);

}  // namespace mooncake::cli
