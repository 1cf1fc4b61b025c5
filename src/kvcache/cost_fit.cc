#include "kvcache/cost_fit.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <vector>

#include "kvcache/chunk_plan.h"

namespace mooncake::kvcache {
namespace {

constexpr std::size_t kTermsMax = 3;
// A pivot below this share of its column's norm is rounding: the columns are multiples of each other.
constexpr double kPivotMin = 1e-9;

using Terms = std::array<double, kTermsMax>;

// The constants of one kind, in the order of terms_of().
struct Law {
  CostKind kind;
  const char* name;
  std::size_t count;
  std::array<double CostProfile::*, kTermsMax> constants;
};
constexpr std::array<Law, 3> kLaws = {{
    {CostKind::kPrefill,
     "prefill",
     3,
     {&CostProfile::prefill_fixed_ms, &CostProfile::prefill_ms_per_token, &CostProfile::prefill_ms_per_token2}},
    {CostKind::kLoad, "import", 2, {&CostProfile::load_fixed_ms, &CostProfile::load_ms_per_token, nullptr}},
    {CostKind::kStep,
     "decode",
     3,
     {&CostProfile::step_fixed_ms, &CostProfile::step_ms_per_sequence, &CostProfile::step_ms_per_context_token}},
}};

const Law& law_of(CostKind kind) { return kLaws[static_cast<std::size_t>(kind)]; }

// What each constant is multiplied by.
Terms terms_of(const CostSample& sample) {
  const double n = sample.length;
  const double p = sample.prefix;
  switch (sample.kind) {
    case CostKind::kPrefill:
      return {1, n - p, n * n - p * p};
    case CostKind::kLoad:
      return {1, p, 0};
    case CostKind::kStep:
      return {1, static_cast<double>(sample.batch), static_cast<double>(sample.batch) * sample.context};
  }
  return {};
}

// One equation: terms . constants = 1, after division by the measured time.
using Rows = std::vector<Terms>;

double squared_error(const Rows& rows, const Terms& x) {
  double sum = 0;
  for (const Terms& row : rows) {
    const double error = row[0] * x[0] + row[1] * x[1] + row[2] * x[2] - 1;
    sum += error * error;
  }
  return sum;
}

// Least squares over the columns of `chosen`, the other constants being 0, by the modified Gram-Schmidt process: the
// columns differ by orders of magnitude, and normal equations would square that. Nothing if the columns do not decide.
std::optional<Terms> solve(const Rows& rows, const std::vector<std::size_t>& chosen) {
  const std::size_t count = chosen.size();
  std::array<std::vector<double>, kTermsMax> q;
  std::array<Terms, kTermsMax> r{};
  std::vector<double> rest(rows.size(), 1);
  Terms projected{};
  const auto dot = [](const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
  };
  const auto subtract = [](std::vector<double>& from, double times, const std::vector<double>& what) {
    for (std::size_t i = 0; i < from.size(); ++i) from[i] -= times * what[i];
  };
  for (std::size_t j = 0; j < count; ++j) {
    for (const Terms& row : rows) q[j].push_back(row[chosen[j]]);
    const double before = std::sqrt(dot(q[j], q[j]));
    for (std::size_t i = 0; i < j; ++i) {
      r[i][j] = dot(q[i], q[j]);
      subtract(q[j], r[i][j], q[i]);
    }
    r[j][j] = std::sqrt(dot(q[j], q[j]));
    if (!(r[j][j] > kPivotMin * before)) return std::nullopt;
    for (double& value : q[j]) value /= r[j][j];
    projected[j] = dot(q[j], rest);
    subtract(rest, projected[j], q[j]);
  }
  Terms x{};
  for (std::size_t j = count; j-- > 0;) {
    double value = projected[j];
    for (std::size_t k = j + 1; k < count; ++k) value -= r[j][k] * x[chosen[k]];
    x[chosen[j]] = value / r[j][j];
  }
  return x;
}

// The best constants that are not negative: of all subsets that may be above 0, the one with the least error. With
// three constants there are eight, and nothing cleverer is needed.
std::optional<Terms> solve_non_negative(const Rows& rows, std::size_t count) {
  std::vector<std::size_t> all(count);
  for (std::size_t i = 0; i < count; ++i) all[i] = i;
  if (!solve(rows, all)) return std::nullopt;
  Terms best{};
  double least = squared_error(rows, best);
  for (std::size_t mask = 1; mask < (std::size_t{1} << count); ++mask) {
    std::vector<std::size_t> chosen;
    std::ranges::copy_if(all, std::back_inserter(chosen), [&](std::size_t i) { return (mask >> i) & 1; });
    const auto x = solve(rows, chosen);
    if (!x || std::ranges::any_of(*x, [](double value) { return !(value >= 0); })) continue;
    const double error = squared_error(rows, *x);
    if (error < least) {
      least = error;
      best = *x;
    }
  }
  return best;
}

Status fit_law(const Law& law, std::span<const CostSample> samples, CostProfile& profile) {
  Rows rows;
  for (const CostSample& sample : samples) {
    if (sample.kind != law.kind) continue;
    if (!(sample.ms > 0) || !std::isfinite(sample.ms)) {
      return {Code::kInvalidArgument, fmt::format("a {} was measured to take {} ms", law.name, sample.ms)};
    }
    Terms row = terms_of(sample);
    for (double& term : row) term /= sample.ms;
    rows.push_back(row);
  }
  const auto x = solve_non_negative(rows, law.count);
  if (!x) {
    return {Code::kInvalidArgument,
            fmt::format("{} measurements of {} are too few, or too much alike, for its {} constants", rows.size(),
                        law.name, law.count)};
  }
  const double error = std::sqrt(squared_error(rows, *x) / static_cast<double>(rows.size()));
  if (!(error <= kFitErrorMax)) {
    return {Code::kUnsupported,
            fmt::format("no profile describes what was measured: the best one is {:.0f} % off for {}, in the mean; was "
                        "the machine busy with something else?",
                        error * 100, law.name)};
  }
  for (std::size_t i = 0; i < law.count; ++i) profile.*law.constants[i] = (*x)[i];
  return {};
}

}  // namespace

Result<std::vector<CostSample>> plan_cost_samples(std::uint32_t tokens_max, std::uint32_t block_tokens) {
  const auto blocks = [&](std::uint32_t tokens) { return std::max(1u, tokens / block_tokens) * block_tokens; };
  const std::uint32_t longest = blocks(tokens_max);
  if (longest < 8 * block_tokens) {
    return Status(Code::kUnsupported, fmt::format("a context of {} tokens is too short to measure: it takes {}",
                                                  tokens_max, 8 * block_tokens));
  }
  std::vector<CostSample> samples;
  for (std::uint32_t length = longest; length >= kChunkTokensMin; length /= 2) {
    samples.push_back({.kind = CostKind::kPrefill, .length = length});
  }
  samples.push_back({.kind = CostKind::kPrefill, .length = longest / 2, .prefix = blocks(longest / 4)});
  samples.push_back({.kind = CostKind::kPrefill, .length = longest, .prefix = longest - block_tokens});
  // Shorter imports fit into the processor's caches and take less than a millisecond, which decides nothing.
  for (const std::uint32_t parts : {1u, 2u, 4u, 8u}) {
    samples.push_back({.kind = CostKind::kLoad, .prefix = blocks(longest / parts)});
  }
  for (std::uint32_t batch = 1; batch <= kFitBatchMax; batch *= 2) {
    for (const std::uint32_t context : {blocks(longest / 16), blocks(longest / 2), longest}) {
      samples.push_back({.kind = CostKind::kStep, .batch = batch, .context = context});
    }
  }
  return samples;
}

double predicted_ms(const CostProfile& profile, const CostSample& sample) {
  const Law& law = law_of(sample.kind);
  const Terms terms = terms_of(sample);
  double ms = 0;
  for (std::size_t i = 0; i < law.count; ++i) ms += profile.*law.constants[i] * terms[i];
  return ms;
}

double deviation(const CostProfile& profile, const CostSample& sample) {
  return predicted_ms(profile, sample) / sample.ms - 1;
}

Result<CostProfile> fit_cost_profile(std::span<const CostSample> samples, CostProfile base) {
  for (const Law& law : kLaws) MC_RETURN_IF_ERROR(fit_law(law, samples, base));
  if (base.prefill_ms_per_token == 0 && base.prefill_ms_per_token2 == 0) {
    return Status(Code::kUnsupported,
                  "no profile describes what was measured: long prompts took no longer than short ones");
  }
  base.derived = false;
  return base;
}

}  // namespace mooncake::kvcache
