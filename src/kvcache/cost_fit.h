// Fits a cost profile to what an engine was measured to take.
//
// Three laws, each linear in its constants, so each is a small least-squares problem of its own:
//
//   prefill of tokens [p, n)                   c0 + c1 (n - p) + c2 (n^2 - p^2)
//   import of p cached tokens                  l0 + l1 p
//   decode step, B sequences of k tokens each  s0 + s1 B + s2 B k
//
// Errors count relative to what was measured, since times span three orders of magnitude and the short ones are decided
// on as well. No constant may be negative: a prediction below zero is none. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "kvcache/cost_model.h"

namespace mooncake::kvcache {

enum class CostKind : std::uint8_t { kPrefill, kLoad, kStep };

/// One measurement. Members that its kind does not name are 0.
struct CostSample {
  CostKind kind = CostKind::kPrefill;
  std::uint32_t length = 0;   ///< prefill: tokens of the prompt
  std::uint32_t prefix = 0;   ///< prefill: of those, already there; load: tokens that are imported
  std::uint32_t batch = 0;    ///< step: sequences
  std::uint32_t context = 0;  ///< step: tokens of each
  double ms = 0;              ///< what it took
};

/// What `profile` says that the sample takes, in milliseconds.
double predicted_ms(const CostProfile& profile, const CostSample& sample);

/// predicted / measured - 1. `sample.ms` is above 0.
double deviation(const CostProfile& profile, const CostSample& sample);

/// What to measure, without times: prompts of up to `tokens_max` tokens, halved again and again; prefixes and contexts
/// in whole blocks; batches of up to kFitBatchMax.
/// @return kUnsupported if tokens_max is less than eight blocks: too few lengths to tell a line from a parabola.
Result<std::vector<CostSample>> plan_cost_samples(std::uint32_t tokens_max, std::uint32_t block_tokens);

/// The largest batch measured; a decode worker's own limit by default.
inline constexpr std::uint32_t kFitBatchMax = 8;

/// A law that is this far off, root mean square over its samples, does not describe the engine: something else took
/// the time.
inline constexpr double kFitErrorMax = 0.35;

/// The profile that comes closest to the samples. What is not measured is kept from `base`: its name, the link, and the
/// size of a token.
/// @return kInvalidArgument for a time that is not positive and finite, and for samples that leave a law open (all at
/// one length, say); kUnsupported if a law is more than kFitErrorMax off, or if prefill does not depend on the prompt.
Result<CostProfile> fit_cost_profile(std::span<const CostSample> samples, CostProfile base);

}  // namespace mooncake::kvcache
