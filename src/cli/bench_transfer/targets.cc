#include "cli/bench_transfer/targets.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "cli/bench_stats.h"

namespace mooncake::cli {
namespace {

constexpr std::string_view kMemcpy = "memcpy, as many threads";
constexpr std::string_view kIperf3 = "iperf3 -l 1M, best of 1, 2, 4 streams";
constexpr std::string_view kPerTransfer = "a connection for each transfer";
constexpr std::string_view kPingPong = "raw epoll ping-pong";
constexpr std::string_view kFio = "fio, io_uring";
constexpr std::string_view kCudaCopy = "cuMemcpyAsync, pinned, nothing else";
constexpr std::string_view kPlain = "plain, tcp";

constexpr std::array kTargets = {
    Target{"shm read, 1 MiB x 32", "shm_read_1mib_gb_per_s", "memcpy_1mib_gb_per_s", kMemcpy, "GB/s", Goal::kAtLeast,
           0.9},
    Target{"shm write, 1 MiB x 32", "shm_write_1mib_gb_per_s", "memcpy_1mib_gb_per_s", kMemcpy, "GB/s", Goal::kAtLeast,
           0.9},
    Target{"tcp read, 1 MiB x 32", "tcp_read_1mib_gb_per_s", "iperf3_gb_per_s", kIperf3, "GB/s", Goal::kAtLeast, 0.95},
    Target{"tcp write, 1 MiB x 32", "tcp_write_1mib_gb_per_s", "iperf3_gb_per_s", kIperf3, "GB/s", Goal::kAtLeast,
           0.95},
    Target{"tcp read, 1 MiB x 32", "tcp_read_1mib_gb_per_s", "connection_per_transfer_gb_per_s", kPerTransfer, "GB/s",
           Goal::kAtLeast, 2},
    Target{"tcp read, 64 KiB x 32", "tcp_read_64kib_gb_per_s", "tcp_read_1mib_gb_per_s", "1 MiB x 32", "GB/s",
           Goal::kAtLeast, 0.8},
    Target{"tcp write, 64 KiB x 32", "tcp_write_64kib_gb_per_s", "tcp_write_1mib_gb_per_s", "1 MiB x 32", "GB/s",
           Goal::kAtLeast, 0.8},
    Target{"round trip, 64 B, one core", "round_trip_64b_one_core_us", "ping_pong_64b_one_core_us", kPingPong, "us",
           Goal::kAtMost, 1.5},
    Target{"round trip, 1 KiB, one core", "round_trip_1kib_one_core_us", "ping_pong_1kib_one_core_us", kPingPong, "us",
           Goal::kAtMost, 1.5},
    Target{"round trip, 64 B, two cores", "round_trip_64b_two_cores_us", "ping_pong_64b_two_cores_us", kPingPong, "us",
           Goal::kAtMost, 1.5},
    Target{"round trip, 1 KiB, two cores", "round_trip_1kib_two_cores_us", "ping_pong_1kib_two_cores_us", kPingPong,
           "us", Goal::kAtMost, 1.5},
    Target{"messages, 64 in flight", "messages_64_per_s", "", "", "1/s", Goal::kAtLeast, 200'000},
    Target{"file read, O_DIRECT, 1 MiB, depth 16", "file_read_1mib_gb_per_s", "fio_read_gb_per_s", kFio, "GB/s",
           Goal::kAtLeast, 0.95},
    Target{"file write, O_DIRECT, 1 MiB, depth 16", "file_write_1mib_gb_per_s", "fio_write_gb_per_s", kFio, "GB/s",
           Goal::kAtLeast, 0.95},
    Target{"mac read, 1 MiB x 32", "mac_read_1mib_gb_per_s", "plain_read_1mib_gb_per_s", kPlain, "GB/s", Goal::kAtLeast,
           0.95},
    Target{"mac write, 1 MiB x 32", "mac_write_1mib_gb_per_s", "plain_write_1mib_gb_per_s", kPlain, "GB/s",
           Goal::kAtLeast, 0.95},
    Target{"mac read, 1 MiB x 32, two cores", "mac_read_1mib_two_cores_gb_per_s", "plain_read_1mib_two_cores_gb_per_s",
           kPlain, "GB/s", Goal::kAtLeast, 0.95},
    Target{"mac write, 1 MiB x 32, two cores", "mac_write_1mib_two_cores_gb_per_s",
           "plain_write_1mib_two_cores_gb_per_s", kPlain, "GB/s", Goal::kAtLeast, 0.95},
    Target{"tls read, 1 MiB x 32", "tls_read_1mib_gb_per_s", "plain_read_1mib_gb_per_s", kPlain, "GB/s", Goal::kAtLeast,
           0.5},
    Target{"tls write, 1 MiB x 32", "tls_write_1mib_gb_per_s", "plain_write_1mib_gb_per_s", kPlain, "GB/s",
           Goal::kAtLeast, 0.5},
    Target{"tls read, 1 MiB x 32, two cores", "tls_read_1mib_two_cores_gb_per_s", "plain_read_1mib_two_cores_gb_per_s",
           kPlain, "GB/s", Goal::kAtLeast, 0.5},
    Target{"tls write, 1 MiB x 32, two cores", "tls_write_1mib_two_cores_gb_per_s",
           "plain_write_1mib_two_cores_gb_per_s", kPlain, "GB/s", Goal::kAtLeast, 0.5},
    Target{"GPU to host, 1 MiB x 32", "cuda_read_1mib_gb_per_s", "cuda_copy_read_1mib_gb_per_s", kCudaCopy, "GB/s"},
    Target{"host to GPU, 1 MiB x 32", "cuda_write_1mib_gb_per_s", "cuda_copy_write_1mib_gb_per_s", kCudaCopy, "GB/s"},
    Target{"GPU to GPU, 1 MiB x 32", "cuda_inside_write_1mib_gb_per_s", "cuda_copy_inside_1mib_gb_per_s", kCudaCopy,
           "GB/s"},
    Target{"CPU of shm read, 1 MiB x 32", "shm_read_1mib_cpu_s_per_gb", "memcpy_1mib_cpu_s_per_gb", kMemcpy, "s/GB"},
    Target{"CPU of shm write, 1 MiB x 32", "shm_write_1mib_cpu_s_per_gb", "memcpy_1mib_cpu_s_per_gb", kMemcpy, "s/GB"},
    Target{"CPU of tcp read, 1 MiB x 32", "tcp_read_1mib_cpu_s_per_gb", "iperf3_cpu_s_per_gb", kIperf3, "s/GB"},
    Target{"CPU of tcp write, 1 MiB x 32", "tcp_write_1mib_cpu_s_per_gb", "iperf3_cpu_s_per_gb", kIperf3, "s/GB"},
    Target{"CPU of tcp read, 64 KiB x 32", "tcp_read_64kib_cpu_s_per_gb", "", "", "s/GB"},
    Target{"CPU of tcp write, 64 KiB x 32", "tcp_write_64kib_cpu_s_per_gb", "", "", "s/GB"},
    Target{"CPU of mac read, 1 MiB x 32", "mac_read_1mib_cpu_s_per_gb", "plain_read_1mib_cpu_s_per_gb", kPlain, "s/GB"},
    Target{"CPU of mac write, 1 MiB x 32", "mac_write_1mib_cpu_s_per_gb", "plain_write_1mib_cpu_s_per_gb", kPlain,
           "s/GB"},
    Target{"CPU of tls read, 1 MiB x 32", "tls_read_1mib_cpu_s_per_gb", "plain_read_1mib_cpu_s_per_gb", kPlain, "s/GB"},
    Target{"CPU of tls write, 1 MiB x 32", "tls_write_1mib_cpu_s_per_gb", "plain_write_1mib_cpu_s_per_gb", kPlain,
           "s/GB"},
    Target{"CPU of file read", "file_read_1mib_cpu_s_per_gb", "fio_read_cpu_s_per_gb", kFio, "s/GB"},
    Target{"CPU of file write", "file_write_1mib_cpu_s_per_gb", "fio_write_cpu_s_per_gb", kFio, "s/GB"},
    Target{"CPU of GPU to host", "cuda_read_1mib_cpu_s_per_gb", "", "", "s/GB"},
    Target{"CPU of host to GPU", "cuda_write_1mib_cpu_s_per_gb", "", "", "s/GB"},
    Target{"CPU of messages, 64 in flight", "messages_64_cpu_us", "", "", "us each"},
};

std::span<const double> rounds_of(const Series& series, std::string_view name) {
  const auto found = series.find(name);
  return found == series.end() ? std::span<const double>() : std::span<const double>(found->second);
}

std::optional<double> median(std::span<const double> rounds) {
  return rounds.empty() ? std::nullopt : std::optional(percentile(rounds, 50));
}

/// Why a target's figures are not there; empty if they are.
std::string why_absent(const Target& target, const Series& series, const Missing& missing) {
  for (const std::string_view name : {target.series, target.baseline}) {
    if (name.empty() || !rounds_of(series, name).empty()) continue;
    const auto why = missing.find(name);
    return why != missing.end() ? why->second : "it was left out";
  }
  return "";
}

// Three significant digits, and none after the point of large numbers.
std::string figure(const std::optional<double>& value, std::string_view unit = "") {
  if (!value) return "-";
  const std::string number = *value >= 1000 ? fmt::format("{:.0f}", *value) : fmt::format("{:.3g}", *value);
  return unit.empty() ? number : fmt::format("{} {}", number, unit);
}

std::string goal_text(const Target& target) {
  if (target.goal == Goal::kReported) return "-";
  return fmt::format("{} {}{}", target.goal == Goal::kAtLeast ? ">=" : "<=", figure(target.limit),
                     target.baseline.empty() ? "" : "x");
}

}  // namespace

std::span<const Target> transfer_targets() { return kTargets; }

std::string Judgement::verdict() const {
  if (!reason.empty()) return "not measured: " + reason;
  if (target.goal == Goal::kReported) return "reported";
  const double value = target.baseline.empty() ? *ours : *ratio;
  return (target.goal == Goal::kAtLeast ? value >= target.limit : value <= target.limit) ? "met" : "missed";
}

std::vector<double> round_ratios(std::span<const double> ours, std::span<const double> baseline) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(ours.size(), baseline.size()); ++i) ratios.push_back(ours[i] / baseline[i]);
  return ratios;
}

std::vector<Judgement> judge(std::span<const Target> targets, const Series& series, const Missing& missing) {
  std::vector<Judgement> judgements;
  for (const Target& target : targets) {
    const auto ours = rounds_of(series, target.series);
    const auto baseline = rounds_of(series, target.baseline);
    std::vector<double> ratios = round_ratios(ours, baseline);
    judgements.push_back({.target = target,
                          .ours = median(ours),
                          .baseline = median(baseline),
                          .ratio = median(ratios),
                          .ratios = std::move(ratios),
                          .reason = why_absent(target, series, missing)});
  }
  return judgements;
}

std::string targets_table(const std::vector<Judgement>& judgements) {
  constexpr std::string_view kLine = "  {:<38} {:>14}  {:<52} {:>7}  {:>10}  {}\n";
  std::string text = fmt::format(kLine, "path", "ours", "baseline", "ratio", "target", "verdict");
  for (const Judgement& row : judgements) {
    const std::string baseline = row.target.baseline.empty()
                                     ? "-"
                                     : fmt::format("{}: {}", row.target.against, figure(row.baseline, row.target.unit));
    text += fmt::format(kLine, row.target.path, figure(row.ours, row.target.unit), baseline,
                        row.ratio ? figure(row.ratio) + "x" : "-", goal_text(row.target), row.verdict());
  }
  return text;
}

std::vector<BenchRow> target_rows(const std::vector<Judgement>& judgements) {
  std::vector<BenchRow> rows;
  for (const Judgement& row : judgements) {
    const bool higher = row.target.unit == "GB/s" || row.target.unit == "1/s";
    rows.push_back({.name = std::string(row.target.series),
                    .value = row.ours,
                    .unit = std::string(row.target.unit),
                    .better = higher ? Better::kHigher : Better::kLower,
                    .baseline = std::string(row.target.baseline),
                    .baseline_value = row.baseline,
                    .target = std::nullopt,
                    .reason = row.reason});
  }
  return rows;
}

}  // namespace mooncake::cli
