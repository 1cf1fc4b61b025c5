#include "cli/bench_report.h"

#include <fmt/core.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/json_output.h"

namespace mooncake::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string cpu_name() {
  constexpr std::string_view kKey = "model name";
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(kKey)) continue;
    const std::size_t start = line.find_first_not_of(" \t", line.find(':') + 1);
    if (start != std::string::npos) return line.substr(start);
  }
  return "unknown";
}

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json number(std::optional<double> value) { return value && std::isfinite(*value) ? Json(*value) : Json(nullptr); }

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json row_json(const BenchRow& row) {
  return {{"name", row.name},
          {"value", number(row.value)},
          {"unit", row.unit},
          {"better", row.better == Better::kHigher ? "higher" : "lower"},
          {"baseline", text_or_null(row.baseline)},
          {"baseline_value", number(row.baseline_value)},
          {"ratio", number(row.ratio())},
          {"target", number(row.target)},
          {"met", or_null(row.met())},
          {"reason", text_or_null(row.reason)}};
}

// Four significant digits, or all of a whole number.
std::string display(std::optional<double> value) {
  if (!value || !std::isfinite(*value)) return "-";
  if (*value == std::round(*value) && std::abs(*value) < 1e15) return fmt::format("{:.0f}", *value);
  return std::abs(*value) >= 1000 ? fmt::format("{:.0f}", *value) : fmt::format("{:.4g}", *value);
}

std::string remark(const BenchRow& row) {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : "; ") + part; };
  if (!row.baseline.empty()) {
    add(fmt::format("{} {}, {}x", row.baseline, display(row.baseline_value), display(row.ratio())));
  }
  if (row.target) add(fmt::format("target {}: {}", display(row.target), *row.met() ? "met" : "MISSED"));
  if (!row.reason.empty()) add(row.reason);
  return text;
}

using Line = std::array<std::string, 4>;

std::string columns(const std::vector<Line>& lines) {
  std::array<std::size_t, 3> widths{};
  for (const Line& line : lines) {
    for (std::size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text;
  for (const Line& line : lines) {
    std::string row = fmt::format("  {:<{}}  {:>{}}  {:<{}}  {}", line[0], widths[0], line[1], widths[1], line[2],
                                  widths[2], line[3]);
    row.erase(row.find_last_not_of(' ') + 1);
    text += row + "\n";
  }
  return text;
}

}  // namespace

std::optional<double> BenchRow::ratio() const {
  if (!value || !baseline_value) return std::nullopt;
  return better == Better::kHigher ? *value / *baseline_value : *baseline_value / *value;
}

std::optional<bool> BenchRow::met() const {
  if (!target) return std::nullopt;
  if (!value) return false;
  return better == Better::kHigher ? *value >= *target : *value <= *target;
}

Machine this_machine() {
  Machine machine{.cpu = cpu_name(), .cores = 0, .memory = 0, .kernel = "unknown"};
  machine.cores = static_cast<std::uint32_t>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  struct sysinfo memory {};
  if (sysinfo(&memory) == 0) machine.memory = std::uint64_t{memory.totalram} * memory.mem_unit;
  utsname kernel{};
  if (uname(&kernel) == 0) machine.kernel = std::string(kernel.sysname) + " " + kernel.release;
  return machine;
}

std::string report_json(const BenchReport& report) {
  Json json = {{"benchmark", report.benchmark},
               {"commit", report.commit},
               {"machine",
                {{"cpu", report.machine.cpu},
                 {"cores", report.machine.cores},
                 {"memory", report.machine.memory},
                 {"kernel", report.machine.kernel}}},
               {"settings", report.settings},
               {"rows", Json::array()}};
  for (const BenchRow& row : report.rows) json["rows"].push_back(row_json(row));
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string report_headline(const BenchReport& report) {
  return fmt::format("{} at {} on {} ({} cores, {:.1f} GiB, {})\n", report.benchmark, report.commit, report.machine.cpu,
                     report.machine.cores, static_cast<double>(report.machine.memory) / (1 << 30),
                     report.machine.kernel);
}

std::string report_table(const BenchReport& report) {
  std::vector<Line> lines;
  lines.reserve(report.rows.size());
  for (const BenchRow& row : report.rows) lines.push_back({row.name, display(row.value), row.unit, remark(row)});
  return report_headline(report) + columns(lines);
}

Status publish(const BenchReport& report, const std::string& json) {
  if (json != kJsonToStdout) fmt::print("{}", report_table(report));
  std::fflush(stdout);
  return write_json(json, report_json(report));
}

}  // namespace mooncake::cli
