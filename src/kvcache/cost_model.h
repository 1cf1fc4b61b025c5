// CostModel: what things will take, in time. Policies compare these numbers; gateway and simulator share them.
//
// Fitted offline (a profile: prefill quadratic in the prompt, a step linear in batch and context, links by latency and
// bandwidth) and corrected online by an EWMA of actual / predicted per instance. Thread-compatible.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/time.h"

namespace mooncake::kvcache {

/// The constants of one engine on one kind of machine. Prefill of tokens [p, n): t(n) - t(p) with
/// t(x) = c1 x + c2 x^2, plus c0 once, plus load of p cached tokens.
struct CostProfile {
  std::string name;
  double prefill_fixed_ms = 0;
  double prefill_ms_per_token = 0;
  double prefill_ms_per_token2 = 0;
  double load_fixed_ms = 0;  ///< importing a cached prefix
  double load_ms_per_token = 0;
  double step_fixed_ms = 0;  ///< one decode step
  double step_ms_per_sequence = 0;
  double step_ms_per_context_token = 0;
  double link_latency_ms = 0;  ///< store to worker
  double link_bytes_per_ms = 1;
  double kv_bytes_per_token = 0;
  /// Reading from a node's SSDs: of the machine, and so neither in a profile's file nor in the head of a journal, which
  /// has to be added when workers have SSDs. One PCIe 4.0 drive by its data sheet.
  double ssd_bytes_per_ms = 7e6;
  bool derived = false;  ///< from data sheets or another machine: not to be trusted until it has been corrected
};

/// A built-in profile: "laptop" (what the simulated engine imitates), "smollm2-cpu", "llama3-70b@8xA800" (the paper's),
/// and those of roofline.h. @return kNotFound, naming the choices.
Result<CostProfile> builtin_profile(std::string_view name);

class CostModel {
 public:
  virtual ~CostModel() = default;
  /// Computing a prompt of `length` tokens of which the first `prefix` are cached, on `instance`, loading included.
  [[nodiscard]] virtual Nanos prefill(std::uint32_t instance, std::uint32_t length, std::uint32_t prefix) const = 0;
  /// One decode step of `batch` sequences with `context_tokens` in all.
  [[nodiscard]] virtual Nanos tbt(std::uint32_t instance, std::uint32_t batch, std::uint64_t context_tokens) const = 0;
  /// Moving `tokens` of KVCache between two places, with nothing else on the link. 0 tokens cost nothing, and neither
  /// do blocks of the reader's own node: reading those is part of what prefill() counts as loading.
  [[nodiscard]] virtual Nanos transfer(std::uint32_t tokens, bool same_node) const = 0;
  /// Reading `tokens` of KVCache from a node's SSDs, with nothing else to read.
  [[nodiscard]] virtual Nanos read_ssd(std::uint32_t tokens) const = 0;
  /// A prefill on `instance`, which this model predicts at `predicted` now, took `actual`. Non-positive times are
  /// ignored.
  virtual void observe_prefill(std::uint32_t instance, Nanos predicted, Nanos actual) = 0;
  /// A decode step on `instance`, likewise.
  virtual void observe_step(std::uint32_t instance, Nanos predicted, Nanos actual) = 0;
};

/// A model from constants, corrected for each instance by an EWMA of actual / predicted, so that a profile that is
/// wrong by a steady factor is right after about ten observations.
std::unique_ptr<CostModel> make_cost_model(CostProfile profile);

/// Weight of the newest observation: one outlier moves a prediction by a fifth of its error.
inline constexpr double kCorrectionWeight = 0.2;
/// One observation counts as at most this factor off in either direction: a stopped process is not a slow one.
inline constexpr double kObservationFactorMax = 4;
/// The correction stays between 1 / this and this: beyond it the profile is of another machine or model.
inline constexpr double kCorrectionFactorMax = 50;

}  // namespace mooncake::kvcache
