// A placement policy of your own, in a simulated cluster: two prefill instances are drawn, and the one with the lower
// predicted TTFT takes the prompt (Mitzenmacher, "The power of two choices in randomized load balancing", 2001). It
// looks at two instances instead of all of them; what does that cost?
#include <fmt/core.h>

#include "base/rng.h"
#include "conductor/placement.h"
#include "sim/cluster/cluster_report.h"
#include "sim/trace/generator.h"

namespace {

using namespace mooncake;

class TwoChoices final : public conductor::PrefillChooser {
 public:
  explicit TwoChoices(std::uint64_t seed) : rng_(seed) {}

  std::size_t choose(std::span<const conductor::Candidate> candidates, std::span<const std::uint32_t>) override {
    const std::size_t one = rng_.below(candidates.size());
    const std::size_t other = rng_.below(candidates.size());
    return candidates[other].ttft < candidates[one].ttft ? other : one;
  }

 private:
  Rng rng_;
};

double mean_ttft_s(const sim::Trace& trace, const sim::ClusterConfig& config) {
  return sim::report_cluster(trace, config.slo, sim::run_cluster(trace, config).value()).ttft_s.value().mean;
}

}  // namespace

int main() {
  const sim::Trace trace = sim::generate_trace(sim::workload_shape("conversation").value(), 4'000, /*seed=*/1);
  sim::ClusterConfig config;
  config.prefill = 8;
  config.prefill_only = true;
  config.profile = kvcache::builtin_profile("llama3-70b@8xA800").value();
  const double all = mean_ttft_s(trace, config);
  config.placement = conductor::PlacementPolicy::kRandom;
  const double random = mean_ttft_s(trace, config);
  config.chooser = [](std::uint64_t seed) { return std::make_unique<TwoChoices>(seed); };
  const double two = mean_ttft_s(trace, config);
  fmt::print("mean TTFT, s: {:.2f} of all, {:.2f} of two, {:.2f} at random\n", all, two, random);
  return all < two && two < random ? 0 : 1;
}
