// Logging: one line an event, by spdlog: human-readable on a terminal, JSON objects otherwise, rotated in files.
//
// log_info("joined cluster, master {}", endpoint). Levels: debug (off by default), info (what an operator wants to see
// once), warn (something was lost or retried), error (a person should look). Never per token or per block above debug.
// Thread-safe. Before log_init() lines go to standard error.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"

namespace mooncake {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError };

/// Files rotate at this size, and this many are kept: a process cannot fill a disk with its log.
inline constexpr std::size_t kLogFileBytesMax = 10u << 20;
inline constexpr std::size_t kLogFilesMax = 3;

struct LogConfig {
  std::string process;  ///< "prefill-0"; part of every line
  std::string file;     ///< empty: standard error
  LogLevel level = LogLevel::kInfo;
};

/// At start; again changes nothing. @return kUnavailable if the file cannot be opened.
Status log_init(const LogConfig& config);

/// True if lines of this level are written. For lines that are expensive to build.
bool log_enabled(LogLevel level);
void log_write(LogLevel level, std::string_view text);

template <typename... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::kDebug)) log_write(LogLevel::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::kInfo)) log_write(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_warn(fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::kWarn)) log_write(LogLevel::kWarn, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::kError)) log_write(LogLevel::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace mooncake
