// What the transfer engine must reach, as a table, and how measurements are held against it. Pure.
//
// The machine may be shared and its speed may drift, so a figure and its baseline are measured in turn, round after
// round; the ratio that counts is the median of the rounds' ratios, not the ratio of two figures from different
// minutes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/bench_report.h"

namespace mooncake::cli {

/// The figure that each round gave, by what was measured. Two series that are compared have as many rounds each.
using Series = std::map<std::string, std::vector<double>, std::less<>>;
/// Why a series is not there: "iperf3 is not installed".
using Missing = std::map<std::string, std::string, std::less<>>;

enum class Goal : std::uint8_t { kAtLeast, kAtMost, kReported };

/// One line of the table. With a baseline, `limit` bounds ours / baseline; without one, ours.
struct Target {
  std::string_view path;      ///< for people: "tcp read, 1 MiB x 32"
  std::string_view series;    ///< ours: "tcp_read_1mib_gb_per_s"
  std::string_view baseline;  ///< the series that it is compared with; empty: none
  std::string_view against;   ///< the baseline for people
  std::string_view unit;
  Goal goal = Goal::kReported;
  double limit = 0;  ///< of kReported: none
};

/// All of them, in the order of the report. Source: docs/transfer.md.
std::span<const Target> transfer_targets();

/// A target, and what became of it.
struct Judgement {
  Target target;
  std::optional<double> ours;      ///< median of the rounds
  std::optional<double> baseline;  ///< likewise
  std::optional<double> ratio;     ///< median of ours / baseline in each round
  std::vector<double> ratios;      ///< of each round
  std::string reason;              ///< why something was not measured

  /// "met", "missed", "reported", or "not measured: REASON".
  [[nodiscard]] std::string verdict() const;
};

std::vector<Judgement> judge(std::span<const Target> targets, const Series& series, const Missing& missing);

/// ours[i] / baseline[i] of each round that has both.
std::vector<double> round_ratios(std::span<const double> ours, std::span<const double> baseline);

/// The judgements as lines of text, in columns.
std::string targets_table(const std::vector<Judgement>& judgements);

/// The same in the schema of all benchmarks, without ratios and targets, which there are of figures and not of rounds.
std::vector<BenchRow> target_rows(const std::vector<Judgement>& judgements);

}  // namespace mooncake::cli
