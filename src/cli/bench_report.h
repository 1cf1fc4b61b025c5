// BenchReport: what every benchmark prints and writes, in one schema, so that results of different benchmarks, machines
// and commits can be compared by one tool:
//
//   {"benchmark", "commit", "machine": {"cpu", "cores", "memory", "kernel"}, "settings": {...},
//    "rows": [{"name", "value", "unit", "better", "baseline", "baseline_value", "ratio", "target", "met", "reason"}]}
//
// What a row does not have is null.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace mooncake::cli {

enum class Better : std::uint8_t { kHigher, kLower };

struct BenchRow {
  std::string name;             ///< snake_case, unit in it where the value has one: "ttft_ms_p50"
  std::optional<double> value;  ///< nothing if it could not be measured; then `reason` says why
  std::string unit;             ///< "ms", "tokens", "x"
  Better better = Better::kLower;
  std::string baseline{};  ///< what it is compared with; empty: nothing
  std::optional<double> baseline_value{};
  std::optional<double> target{};
  std::string reason{};

  /// How many times better than the baseline the value is; nothing without a baseline.
  [[nodiscard]] std::optional<double> ratio() const;
  /// True if the value is at least as good as the target; nothing without one.
  [[nodiscard]] std::optional<bool> met() const;
};

struct Machine {
  std::string cpu;
  std::uint32_t cores = 0;
  std::uint64_t memory = 0;  ///< bytes
  std::string kernel;
};

/// The machine that this process runs on; "unknown" where it does not say.
Machine this_machine();

struct BenchReport {
  std::string benchmark;  ///< "serve shared-prefix"
  std::string commit;
  Machine machine;
  std::map<std::string, std::string> settings;
  std::vector<BenchRow> rows;
};

/// The schema above, indented, with a newline at the end. Values that are not finite become null.
std::string report_json(const BenchReport& report);

/// A line that says what ran where.
std::string report_headline(const BenchReport& report);

/// The same as the JSON for people: the headline, then one line a row, in columns.
std::string report_table(const BenchReport& report);

/// Prints the table to standard output, and writes the JSON to where --json says (json_output.h), which may be instead.
/// @return kUnavailable if it cannot be written.
Status publish(const BenchReport& report, const std::string& json);

}  // namespace mooncake::cli
