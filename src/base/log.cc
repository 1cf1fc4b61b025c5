#include "base/log.h"

#include <spdlog/formatter.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/mutex.h"

namespace mooncake {
namespace {

/// {"time":"2025-01-31T12:00:00.123Z","level":"info","process":"prefill-0","message":"..."}, one object a line.
class JsonFormatter final : public spdlog::formatter {
 public:
  explicit JsonFormatter(std::string_view process) : process_(quote(process)) {}

  void format(const spdlog::details::log_msg& line, spdlog::memory_buf_t& out) override {
    const auto since_epoch = line.time.time_since_epoch();
    const auto ms = std::chrono::duration_cast<Millis>(since_epoch).count() % 1000;
    const std::time_t seconds = std::chrono::system_clock::to_time_t(line.time);
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    const std::string_view level(spdlog::level::to_string_view(line.level).data());
    fmt::format_to(fmt::appender(out),
                   R"({{"time":"{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z","level":"{}","process":{},"message":{}}})"
                   "\n",
                   utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, ms, level,
                   process_, quote({line.payload.data(), line.payload.size()}));
  }

  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(*this); }

 private:
  // Text of other people ends up in log lines: what is not UTF-8 becomes U+FFFD, so that the line stays JSON.
  static std::string quote(std::string_view text) {
    const auto plain = [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; };
    if (std::ranges::all_of(text, plain)) return fmt::format("\"{}\"", text);  // nearly every line
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

  std::string process_;  // quoted
};

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

std::shared_ptr<spdlog::sinks::sink> make_stderr_sink(const std::string& process) {
  if (isatty(STDERR_FILENO) == 0) {
    auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    sink->set_formatter(std::make_unique<JsonFormatter>(process));
    return sink;
  }
  auto sink = std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>();
  sink->set_pattern(process.empty() ? "%H:%M:%S.%e %^%-7l%$ %v" : "%H:%M:%S.%e %^%-7l%$ %n  %v");
  return sink;
}

/// Where lines go now. Loggers are never destroyed: another thread, or a static destructor, may still be writing.
class ActiveLogger {
 public:
  static ActiveLogger& instance() {
    static auto& active = *new ActiveLogger;
    return active;
  }

  void use(const LogConfig& config, std::shared_ptr<spdlog::sinks::sink> sink) {
    auto logger = std::make_unique<spdlog::logger>(config.process, std::move(sink));
    logger->set_level(to_spdlog(config.level));
    logger->flush_on(spdlog::level::debug);  // a process that is killed has written all that it said
    current_ = logger.get();
    const MutexLock lock(mutex_);
    kept_.push_back(std::move(logger));
  }

  spdlog::logger& get() { return *current_; }

 private:
  ActiveLogger() { use(LogConfig{}, make_stderr_sink("")); }

  std::atomic<spdlog::logger*> current_{nullptr};
  Mutex mutex_;
  std::vector<std::unique_ptr<spdlog::logger>> kept_ GUARDED_BY(mutex_);
};

}  // namespace

Status log_init(const LogConfig& config) {
  static auto& last = *new std::optional<LogConfig>;
  const bool same = last && last->process == config.process && last->file == config.file && last->level == config.level;
  if (same) return {};  // a process that begins anew goes on with its log
  last = config;
  if (config.file.empty()) {
    ActiveLogger::instance().use(config, make_stderr_sink(config.process));
    return {};
  }
  try {
    // spdlog counts the rotated files without the one being written.
    auto sink = std::make_shared<spdlog::sinks::rotating_file_sink_mt>(config.file, kLogFileBytesMax, kLogFilesMax - 1);
    sink->set_formatter(std::make_unique<JsonFormatter>(config.process));
    ActiveLogger::instance().use(config, std::move(sink));
  } catch (const spdlog::spdlog_ex& error) {
    return {Code::kUnavailable, fmt::format("cannot write the log file {}: {}", config.file, error.what())};
  }
  return {};
}

bool log_enabled(LogLevel level) { return ActiveLogger::instance().get().should_log(to_spdlog(level)); }

void log_write(LogLevel level, std::string_view text) {
  ActiveLogger::instance().get().log(to_spdlog(level), spdlog::string_view_t(text.data(), text.size()));
}

}  // namespace mooncake
