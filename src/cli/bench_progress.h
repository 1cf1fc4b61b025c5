// BenchProgress: a bar on a terminal's last line while a benchmark works; nothing if standard error is no terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mooncake::cli {

/// "[#####-----] 50 %  text". `fraction` is clamped to 0 to 1. Pure.
std::string progress_bar(double fraction, std::uint32_t width, std::string_view text);

/// From one thread.
class BenchProgress {
 public:
  BenchProgress();
  /// Wipes the bar.
  ~BenchProgress();
  BenchProgress(const BenchProgress&) = delete;
  BenchProgress& operator=(const BenchProgress&) = delete;

  void show(double fraction, std::string_view text);

 private:
  const bool terminal_;
};

}  // namespace mooncake::cli
