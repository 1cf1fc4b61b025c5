#include "kvcache/cost_model.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <vector>

#include "kvcache/roofline.h"

namespace mooncake::kvcache {
namespace {

// What the simulated engine imitates: prefill 20 us a token, 2 ms a step. Blocks move through shared memory or
// loopback, 1 GB/s with checksums and copies on the way.
CostProfile laptop() {
  CostProfile profile;
  profile.name = "laptop";
  profile.prefill_ms_per_token = 0.02;
  profile.load_ms_per_token = 0.0005;
  profile.step_fixed_ms = 2;
  profile.link_latency_ms = 0.5;
  profile.link_bytes_per_ms = 1e6;
  profile.kv_bytes_per_token = 4 * 64;  // four layers, 64 bytes a row
  return profile;
}

// SmolLM2-135M, weights Q8_0, F16 KVCache, one AVX2 core. Prefill: the time per token grows by a factor of 1.85 from a
// prompt of 128 tokens to one of 2,032 (measured; so c2 / c1 = 0.00047), and 2,000 tokens take 7 s on a quiet core, so
// c1 = 1.8 and c2 = 0.00085. A decode step: 16 ms at 128 tokens, 40 at 2,000; batches of two and three take hardly less
// than their members alone, for this small a model is bound by computing. KVCache: 30 layers x (K and V) x 192 x 2
// bytes.
CostProfile smollm2_cpu() {
  CostProfile profile;
  profile.name = "smollm2-cpu";
  profile.prefill_fixed_ms = 5;
  profile.prefill_ms_per_token = 1.8;
  profile.prefill_ms_per_token2 = 0.00085;
  profile.load_fixed_ms = 2;
  profile.load_ms_per_token = 0.05;  // 23 kB: read from the node, verify, assemble, import
  profile.step_fixed_ms = 2;
  profile.step_ms_per_sequence = 12;
  profile.step_ms_per_context_token = 0.0125;
  profile.link_latency_ms = 0.5;
  profile.link_bytes_per_ms = 1e6;
  profile.kv_bytes_per_token = 30 * 2 * 192 * 2;
  profile.derived = true;  // CPUs differ by more than a factor of two
  return profile;
}

// LLaMA3-70B on eight A800 with four 200 Gb/s links, from Figure 14 of the paper (FAST'25). With k = n / 1024 tokens a
// prefill takes 42.8 + 113.1 k + 0.796 k^2 ms, and loading a prefix 26 + 2.2 k, which is fitted to the figure's runs
// with 95 % cached, not to its load bar. A decode step: 26.2 + 0.036 ms per 1024 tokens of context; the 0.39 ms a
// sequence are derived, from splitwise-sim's tables of A100. Links: the figure's transfers, 4 ms and 87 GB/s. 320 KiB a
// token.
CostProfile llama3_70b_8xa800() {
  constexpr double kTokens = 1024;
  CostProfile profile;
  profile.name = "llama3-70b@8xA800";
  profile.prefill_fixed_ms = 42.8;
  profile.prefill_ms_per_token = 113.1 / kTokens;
  profile.prefill_ms_per_token2 = 0.796 / (kTokens * kTokens);
  profile.load_fixed_ms = 26;
  profile.load_ms_per_token = 2.2 / kTokens;
  profile.step_fixed_ms = 26.2;
  profile.step_ms_per_sequence = 0.39;
  profile.step_ms_per_context_token = 0.036 / kTokens;
  profile.link_latency_ms = 4;
  profile.link_bytes_per_ms = 87e6;
  profile.kv_bytes_per_token = 320 * 1024;
  return profile;
}

class CorrectedModel final : public CostModel {
 public:
  explicit CorrectedModel(CostProfile profile) : profile_(std::move(profile)) {}

  Nanos prefill(std::uint32_t instance, std::uint32_t length, std::uint32_t prefix) const override {
    const double n = length;
    const double p = std::min(prefix, length);
    double ms = profile_.prefill_fixed_ms + profile_.prefill_ms_per_token * (n - p) +
                profile_.prefill_ms_per_token2 * (n * n - p * p);
    if (p > 0) ms += profile_.load_fixed_ms + profile_.load_ms_per_token * p;
    return from_ms(ms * factor(prefill_factor_, instance));
  }

  Nanos tbt(std::uint32_t instance, std::uint32_t batch, std::uint64_t context_tokens) const override {
    const double ms = profile_.step_fixed_ms + profile_.step_ms_per_sequence * batch +
                      profile_.step_ms_per_context_token * static_cast<double>(context_tokens);
    return from_ms(ms * factor(step_factor_, instance));
  }

  Nanos transfer(std::uint32_t tokens, bool same_node) const override {
    if (tokens == 0 || same_node) return Nanos{0};
    return from_ms(profile_.link_latency_ms + profile_.kv_bytes_per_token * tokens / profile_.link_bytes_per_ms);
  }

  Nanos read_ssd(std::uint32_t tokens) const override {
    return from_ms(profile_.kv_bytes_per_token * tokens / profile_.ssd_bytes_per_ms);
  }

  void observe_prefill(std::uint32_t instance, Nanos predicted, Nanos actual) override {
    correct(prefill_factor_, instance, predicted, actual);
  }

  void observe_step(std::uint32_t instance, Nanos predicted, Nanos actual) override {
    correct(step_factor_, instance, predicted, actual);
  }

 private:
  using Factors = absl::flat_hash_map<std::uint32_t, double>;

  static double factor(const Factors& factors, std::uint32_t instance) {
    const auto at = factors.find(instance);
    return at == factors.end() ? 1.0 : at->second;
  }

  static void correct(Factors& factors, std::uint32_t instance, Nanos predicted, Nanos actual) {
    if (predicted <= Nanos{0} || actual <= Nanos{0}) return;
    const double error = std::clamp(to_ms(actual) / to_ms(predicted), 1 / kObservationFactorMax, kObservationFactorMax);
    double& factor = factors.try_emplace(instance, 1.0).first->second;
    factor = std::clamp(factor * (1 + kCorrectionWeight * (error - 1)), 1 / kCorrectionFactorMax, kCorrectionFactorMax);
  }

  CostProfile profile_;
  Factors prefill_factor_;
  Factors step_factor_;
};

}  // namespace

Result<CostProfile> builtin_profile(std::string_view name) {
  std::vector<CostProfile> profiles = {laptop(), smollm2_cpu(), llama3_70b_8xa800()};
  profiles.insert(profiles.end(), roofline_profiles().begin(), roofline_profiles().end());
  std::string choices;
  for (const CostProfile& profile : profiles) {
    if (profile.name == name) return profile;
    choices += (choices.empty() ? "\"" : ", \"") + profile.name + "\"";
  }
  return Status(Code::kNotFound, "no cost profile \"" + std::string(name) + "\"; there are " + choices);
}

std::unique_ptr<CostModel> make_cost_model(CostProfile profile) {
  return std::make_unique<CorrectedModel>(std::move(profile));
}

}  // namespace mooncake::kvcache
