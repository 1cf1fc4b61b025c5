#include "cli/bench_progress.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace mooncake::cli {
namespace {

constexpr std::uint32_t kBarWidth = 30;
// To the line's start, and erase it: ECMA-48.
constexpr std::string_view kWipe = "\r\033[K";

}  // namespace

std::string progress_bar(double fraction, std::uint32_t width, std::string_view text) {
  fraction = std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0.0;
  const auto full = static_cast<std::uint32_t>(std::lround(fraction * width));
  return fmt::format("[{:#<{}}{:-<{}}] {:3.0f} %  {}", "", full, "", width - full, fraction * 100, text);
}

BenchProgress::BenchProgress() : terminal_(::isatty(STDERR_FILENO) == 1) {}

BenchProgress::~BenchProgress() {
  if (terminal_) fmt::print(stderr, "{}", kWipe);
}

void BenchProgress::show(double fraction, std::string_view text) {
  if (!terminal_) return;
  fmt::print(stderr, "{}{}", kWipe, progress_bar(fraction, kBarWidth, text));
  std::fflush(stderr);
}

}  // namespace mooncake::cli
