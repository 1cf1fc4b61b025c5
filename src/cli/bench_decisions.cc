// How many decisions a second the production Conductor makes. Half of the instances prefill, each with a store node of
// its own; requests wait for prefill in order and then decode in batches of about eight, all in invented time.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>

#include "base/rng.h"
#include "cli/bench_chains.h"
#include "cli/bench_conductor.h"
#include "conductor/conductor.h"
#include "kvcache/cost_model.h"

namespace mooncake::cli {
namespace {

using conductor::Conductor;
using conductor::Phase;
using conductor::RequestNumber;
using conductor::RequestView;

constexpr std::array<std::uint32_t, 3> kClusterSizes = {16, 64, 1024};
// What the cluster's nodes hold at most: decisions are about instances, not about the size of the index.
constexpr std::uint64_t kBlocksMax = 1'000'000;
constexpr std::uint32_t kBlockTokens = 64;
constexpr std::uint32_t kPromptTokens = BenchChains::kChainBlocks * kBlockTokens + 20;
// Of one prefill instance, about what the profile predicts for such prompts at the mix of hits below.
constexpr Nanos kPrefillTime = Millis(150);
constexpr std::uint32_t kBatch = 8;

class Cluster {
 public:
  Cluster(std::uint32_t instances, const kvcache::CostProfile& profile, const BenchConductorOptions& options)
      : pool_(std::max(1u, instances / 2)),
        chains_(std::min(options.blocks, kBlocksMax), pool_, options.seed),
        rng_(options.seed + 2),
        conductor_(Conductor::create({.placement = conductor::PlacementPolicy::kCostMin,
                                      .admission = conductor::AdmissionPolicy::kEarly,
                                      .slo = slo(),
                                      .block_tokens = kBlockTokens,
                                      .seed = options.seed},
                                     kvcache::make_cost_model(profile))) {
    for (std::uint32_t i = 0; i < pool_; ++i) {
      start(i, conductor::Role::kPrefill);
      start(pool_ + i, conductor::Role::kDecode);
    }
    chains_.for_each_stored([&](std::uint32_t node, std::span<const Key128> keys) {
      const conductor::CacheEvent event = {.node = conductor::NodeId{node}, .keys = {keys.begin(), keys.end()}};
      conductor_->on_cache({&event, 1}, now_);
    });
  }

  /// One decision and what follows from it. @return how long the decision took.
  std::chrono::duration<double> decide();

 private:
  static kvcache::Slo slo() { return {.ttft = Seconds(30), .tbt = Millis(300)}; }
  void start(std::uint32_t id, conductor::Role role);
  void fill_prompt();
  void advance_others();

  std::uint32_t pool_;
  BenchChains chains_;
  Rng rng_;
  std::unique_ptr<Conductor> conductor_;
  Instant now_{};
  std::uint64_t last_number_ = 0;
  std::vector<Key128> prompt_;
  std::deque<RequestNumber> prefilling_;
  std::deque<RequestNumber> decoding_;
};

void Cluster::start(std::uint32_t id, conductor::Role role) {
  conductor_->on_instance({.kind = conductor::InstanceChange::Kind::kUp,
                           .id = conductor::InstanceId{id},
                           .role = role,
                           .name = fmt::format("instance-{}", id),
                           .attached_node = conductor::NodeId{id % pool_},
                           .sequences_max = 4 * kBatch,
                           .kv_tokens_max = 1'400'000},
                          now_);
}

// Half of the prompts are known (another turn, another sample), three in ten share the first blocks with some, the rest
// is new.
void Cluster::fill_prompt() {
  const std::uint64_t kind = rng_.below(10);
  const std::uint32_t known = kind < 5 ? BenchChains::kChainBlocks : kind < 8 ? BenchChains::kSharedBlocks : 0;
  const auto chain = chains_.chain(rng_.below(chains_.size()));
  prompt_.assign(chain.begin(), chain.begin() + known);
  while (prompt_.size() < chain.size()) prompt_.push_back(random_key(rng_));
}

std::chrono::duration<double> Cluster::decide() {
  fill_prompt();
  now_ += kPrefillTime / pool_;
  const RequestNumber number{++last_number_};
  const RequestView request = {.number = number,
                               .prompt_tokens = kPromptTokens,
                               .block_keys = prompt_,
                               .answer_tokens_max = 512,
                               .place_prefill = {},
                               .slo = slo()};
  const auto start = std::chrono::steady_clock::now();
  const conductor::Decision decision = conductor_->on_request(request, now_);
  const auto took = std::chrono::steady_clock::now() - start;
  if (decision.verdict == conductor::Verdict::kAccept) prefilling_.push_back(number);
  advance_others();
  return took;
}

void Cluster::advance_others() {
  if (prefilling_.size() > pool_) {
    const RequestNumber done = prefilling_.front();
    prefilling_.pop_front();
    conductor_->on_phase(done, Phase::kPrefillEnd, now_);
    conductor_->on_phase(done, Phase::kDecodeJoin, now_);
    decoding_.push_back(done);
    conductor_->on_phase(prefilling_.front(), Phase::kPrefillStart, now_);
  }
  if (decoding_.size() > std::size_t{kBatch} * pool_) {
    conductor_->on_phase(decoding_.front(), Phase::kDecodeEnd, now_);
    decoding_.pop_front();
  }
}

}  // namespace

Result<std::vector<BenchRow>> bench_decisions(const BenchConductorOptions& options) {
  MC_ASSIGN_OR_RETURN(const kvcache::CostProfile profile, kvcache::builtin_profile("llama3-70b@8xA800"));
  std::vector<BenchRow> rows;
  for (const std::uint32_t instances : kClusterSizes) {
    Cluster cluster(instances, profile, options);
    // Until as many requests are under way as there will be.
    for (std::uint32_t i = 0; i < instances * kBatch; ++i) cluster.decide();
    std::chrono::duration<double> took{};
    for (std::uint64_t i = 0; i < options.decisions; ++i) took += cluster.decide();
    rows.push_back({.name = fmt::format("decisions_per_s_{}", instances),
                    .value = static_cast<double>(options.decisions) / took.count(),
                    .unit = "1/s",
                    .better = Better::kHigher});
  }
  return rows;
}

}  // namespace mooncake::cli
