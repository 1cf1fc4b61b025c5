// What `mooncake bench engine` reports of its measurements and its fit.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "cli/bench_engine.h"
#include "kvcache/cost_profile_json.h"

namespace mooncake::cli {
namespace {

using kvcache::CostKind;
using kvcache::CostSample;

std::string name_of(const CostSample& sample) {
  switch (sample.kind) {
    case CostKind::kPrefill:
      return sample.prefix == 0 ? fmt::format("prefill_ms_{}", sample.length)
                                : fmt::format("prefill_ms_{}_after_{}", sample.length - sample.prefix, sample.prefix);
    case CostKind::kLoad:
      return fmt::format("load_ms_{}", sample.prefix);
    case CostKind::kStep:
      return fmt::format("step_ms_{}x{}", sample.batch, sample.context);
  }
  return {};
}

// "prefill_ms_per_token2" -> "ms/token2"; "link_latency_ms" -> "ms".
std::string unit_of(std::string_view constant) {
  constexpr std::string_view kPer = "_per_";
  const std::size_t per = constant.find(kPer);
  if (per == std::string_view::npos) return "ms";
  const std::string_view of = constant.substr(0, per);
  const std::string_view unit = of.substr(of.rfind('_') + 1);
  return fmt::format("{}/{}", unit, constant.substr(per + kPer.size()));
}

}  // namespace

std::vector<BenchRow> engine_rows(std::span<const CostSample> samples, const kvcache::CostProfile& profile,
                                  std::string_view link_source) {
  std::vector<BenchRow> rows;
  double greatest = 0;
  std::string where;
  for (const CostSample& sample : samples) {
    const double off = 100 * kvcache::deviation(profile, sample);
    rows.push_back({.name = name_of(sample),
                    .value = sample.ms,
                    .unit = "ms",
                    .baseline = "fitted",
                    .baseline_value = kvcache::predicted_ms(profile, sample),
                    .reason = fmt::format("off by {:+.1f} %", off)});
    if (std::abs(off) < std::abs(greatest)) continue;
    greatest = off;
    where = rows.back().name;
  }
  rows.push_back({.name = "deviation_percent_max", .value = std::abs(greatest), .unit = "%", .reason = "at " + where});
  for (const kvcache::CostConstant& constant : kvcache::cost_constants()) {
    rows.push_back({.name = constant.name, .value = profile.*constant.value, .unit = unit_of(constant.name)});
    if (rows.back().name.starts_with("link_")) {
      rows.back().reason = fmt::format("not measured: that of the built-in profile {}", link_source);
    }
    if (rows.back().name == "link_bytes_per_ms") rows.back().better = Better::kHigher;
  }
  return rows;
}

}  // namespace mooncake::cli
