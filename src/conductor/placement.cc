#include "conductor/placement.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"
#include "base/rng.h"

namespace mooncake::conductor {
namespace {

// What is read and sent before the prefill, all of it at the same time.
Nanos until_it_is_there(const Candidate& candidate, const PromptFacts& prompt, const PrefillFacts& facts,
                        const kvcache::CostModel& cost) {
  Nanos ready{};
  if (candidate.ssd_blocks > 0) ready = facts.ssd_backlog + cost.read_ssd(candidate.ssd_blocks * prompt.block_tokens);
  if (candidate.reused_blocks <= candidate.local_prefix_blocks) return ready;
  const std::uint32_t missing_tokens = (candidate.reused_blocks - candidate.local_prefix_blocks) * prompt.block_tokens;
  ready = std::max(ready, facts.sender_backlog + cost.transfer(missing_tokens, false));
  if (candidate.fetched_ssd_blocks == 0) return ready;
  const Nanos read = cost.read_ssd(candidate.fetched_ssd_blocks * prompt.block_tokens);
  return std::max(ready, facts.sender_ssd_backlog + read);
}

Candidate evaluate_reuse(std::uint32_t reused_blocks, const PromptFacts& prompt, const PrefillFacts& facts,
                         const kvcache::CostModel& cost) {
  const auto id = static_cast<std::uint32_t>(facts.instance);
  Candidate candidate;
  candidate.instance = facts.instance;
  candidate.role = Role::kPrefill;
  candidate.local_prefix_blocks = facts.local_blocks;
  candidate.reused_blocks = reused_blocks;
  candidate.queue = facts.queue;
  if (reused_blocks > 0) candidate.ssd_blocks = facts.local_ssd_blocks;
  if (reused_blocks > facts.local_blocks) {
    candidate.fetch_from = facts.sender;
    candidate.fetched_ssd_blocks = facts.sender_ssd_blocks;
  }
  candidate.transfer = until_it_is_there(candidate, prompt, facts, cost);
  const std::uint32_t reused_tokens = kvcache::reusable_tokens(
      prompt.prompt_tokens, reused_blocks * prompt.block_tokens, /*block_tokens=*/1, prompt.computed_tokens_min);
  candidate.prefill = cost.prefill(id, prompt.prompt_tokens, reused_tokens);
  candidate.ttft = candidate.transfer + candidate.queue + candidate.prefill;
  return candidate;
}

// More reuse wins a tie: it saves computation that somebody else could use.
Candidate cheapest_reuse(const PromptFacts& prompt, const PrefillFacts& facts, const kvcache::CostModel& cost) {
  Candidate cheapest = evaluate_reuse(prompt.best_blocks, prompt, facts, cost);
  for (const std::uint32_t blocks : {facts.local_blocks, 0u}) {
    Candidate other = evaluate_reuse(blocks, prompt, facts, cost);
    if (other.ttft < cheapest.ttft) cheapest = other;
  }
  return cheapest;
}

// best / local, +infinity when only local is 0, 1 when both are.
bool exceeds_threshold(std::uint32_t best, std::uint32_t local, double threshold) {
  if (local == 0) return best > 0;
  return static_cast<double>(best) / local > threshold;
}

std::size_t least_ttft(std::span<const Candidate> candidates) {
  return static_cast<std::size_t>(std::ranges::min_element(candidates, {}, &Candidate::ttft) - candidates.begin());
}

DecodeFit fit_of(const DecodeFacts& facts, const DecodeNeed& need, Nanos tbt) {
  const bool counts_tokens = facts.kv_tokens_max > 0;
  if (facts.sequences_max == 0 || (counts_tokens && need.kv_tokens > facts.kv_tokens_max)) return DecodeFit::kNever;
  if (facts.requests >= facts.sequences_max) return DecodeFit::kFull;
  if (counts_tokens && facts.kv_tokens + need.kv_tokens > facts.kv_tokens_max) return DecodeFit::kFull;
  return tbt > need.tbt_objective ? DecodeFit::kBreaksTbt : DecodeFit::kFits;
}

/// Holds what random and round robin need to remember.
class BuiltinChooser final : public PrefillChooser {
 public:
  BuiltinChooser(PlacementPolicy policy, std::uint64_t seed) : policy_(policy), rng_(seed) {}

  std::size_t choose(std::span<const Candidate> candidates, std::span<const std::uint32_t> outstanding) override;

 private:
  PlacementPolicy policy_;
  Rng rng_;
  std::optional<InstanceId> last_;  // round robin: chosen last
};

std::size_t BuiltinChooser::choose(std::span<const Candidate> candidates, std::span<const std::uint32_t> outstanding) {
  CHECK(!candidates.empty() && outstanding.size() == candidates.size());
  switch (policy_) {
    case PlacementPolicy::kCostMin:
    case PlacementPolicy::kAlgorithm1:
    case PlacementPolicy::kLocal:
      return least_ttft(candidates);
    case PlacementPolicy::kLeastTime:
      return static_cast<std::size_t>(std::ranges::min_element(candidates, {}, &Candidate::queue) - candidates.begin());
    case PlacementPolicy::kRandom:
      return rng_.below(candidates.size());
    case PlacementPolicy::kLeastOutstanding:
      return static_cast<std::size_t>(std::ranges::min_element(outstanding) - outstanding.begin());
    case PlacementPolicy::kRoundRobin: {
      const auto after = [this](const Candidate& candidate) { return !last_ || candidate.instance > *last_; };
      const auto next = std::ranges::find_if(candidates, after);
      const auto index = next == candidates.end() ? 0 : static_cast<std::size_t>(next - candidates.begin());
      last_ = candidates[index].instance;
      return index;
    }
  }
  CHECK(false);
}

}  // namespace

Candidate evaluate_prefill(PlacementPolicy policy, double balancing_threshold, const PromptFacts& prompt,
                           const PrefillFacts& facts, const kvcache::CostModel& cost) {
  CHECK(prompt.best_blocks >= facts.local_blocks);
  if (policy == PlacementPolicy::kLocal) return evaluate_reuse(facts.local_blocks, prompt, facts, cost);
  if (policy != PlacementPolicy::kAlgorithm1) return cheapest_reuse(prompt, facts, cost);
  const bool transfer = exceeds_threshold(prompt.best_blocks, facts.local_blocks, balancing_threshold);
  return evaluate_reuse(transfer ? prompt.best_blocks : facts.local_blocks, prompt, facts, cost);
}

std::unique_ptr<PrefillChooser> make_prefill_chooser(PlacementPolicy policy, std::uint64_t seed) {
  return std::make_unique<BuiltinChooser>(policy, seed);
}

Nanos predicted_tbt(const DecodeFacts& facts, std::uint32_t prompt_tokens, const kvcache::CostModel& cost) {
  return cost.tbt(static_cast<std::uint32_t>(facts.instance), facts.requests + 1, facts.prompt_tokens + prompt_tokens);
}

DecodeChoice evaluate_decode(std::size_t index, const DecodeFacts& facts, const DecodeNeed& need,
                             const kvcache::CostModel& cost) {
  const Nanos tbt = predicted_tbt(facts, need.prompt_tokens, cost);
  return {index, fit_of(facts, need, tbt), tbt};
}

DecodeChoice choose_decode(std::span<const DecodeFacts> facts, const DecodeNeed& need, const kvcache::CostModel& cost) {
  CHECK(!facts.empty());
  std::optional<DecodeChoice> best;
  const auto rank = [&](const DecodeChoice& choice) {
    return std::tuple(choice.fit, facts[choice.index].requests, facts[choice.index].kv_tokens);
  };
  for (std::size_t i = 0; i < facts.size(); ++i) {
    const DecodeChoice choice = evaluate_decode(i, facts[i], need, cost);
    if (!best || rank(choice) < rank(*best)) best = choice;
  }
  return *best;
}

}  // namespace mooncake::conductor
