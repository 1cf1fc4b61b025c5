#include "sim/coupled/coupled_cluster.h"

#include <fmt/core.h>

#include <algorithm>
#include <deque>
#include <numeric>

#include "base/check.h"
#include "kvcache/chunk_plan.h"
#include "sim/cache/block_cache.h"
#include "sim/cluster/cluster_parts.h"
#include "sim/cluster/decode_batch.h"
#include "sim/cluster/event_queue.h"

namespace mooncake::sim {
namespace {

struct Node {
  DecodeBatch batch;
  std::optional<BlockCache> cache;
  std::deque<std::uint32_t> waiting{};
  std::optional<std::uint32_t> computing{};  // a prompt that is in prefill
  std::uint32_t computed = 0;                // its tokens that are
  std::uint32_t unfinished = 0;
  std::uint64_t kv_tokens = 0;          // reserved by prompts in prefill and in the batch
  Instant next_event = Instant::max();  // the one that counts
};

class CoupledRun {
 public:
  CoupledRun(const Trace& trace, const CoupledConfig& config)
      : trace_(trace), config_(config), cost_(kvcache::make_cost_model(config.profile)) {}

  Status prepare();
  ClusterResult run();

 private:
  void arrive(std::uint32_t request);
  /// The engine of `node` is between two steps: who is done leaves, then it computes a prompt or a step.
  void turn(std::uint32_t node);
  void begin_prompt(Node& node);
  void finish_prompt(Node& node);
  void compute(std::uint32_t index);
  void await(std::uint32_t index, Instant at);
  void complete(Node& node, std::uint32_t request, std::optional<Nanos> tbt);

  [[nodiscard]] std::uint64_t kv_tokens_of(std::uint32_t request) const {
    return std::uint64_t{trace_.requests[request].input_tokens} + kAnswerTokensMax;
  }
  [[nodiscard]] bool has_room(const Node& node) const {
    if (!config_.batched) return node.batch.size() == 0;
    return node.kv_tokens + kv_tokens_of(node.waiting.front()) <= config_.kv_tokens;
  }
  [[nodiscard]] Nanos chunk_time(std::uint32_t from, std::uint32_t to, bool alone) const;

  const Trace& trace_;
  const CoupledConfig& config_;
  const std::unique_ptr<kvcache::CostModel> cost_;
  std::vector<Node> nodes_;
  EventQueue events_;
  Instant now_{};
  ClusterResult result_;
};

Status CoupledRun::prepare() {
  for (std::uint32_t i = 0; i < config_.nodes; ++i) {
    Node& node = nodes_.emplace_back(Node{.batch = DecodeBatch(*cost_, i), .cache = std::nullopt});
    if (!config_.prefix_cache) continue;
    MC_ASSIGN_OR_RETURN(auto policy, store::make_eviction_policy(store::kDefaultEviction));
    node.cache.emplace(config_.kv_tokens / kTraceBlockTokens, std::move(policy));
  }
  return {};
}

ClusterResult CoupledRun::run() {
  result_.requests.resize(trace_.requests.size());
  std::vector<std::uint32_t> order(trace_.requests.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::stable_sort(order, {}, [this](std::uint32_t i) { return trace_.requests[i].arrival; });
  auto next = order.begin();
  while (next != order.end() || !events_.empty()) {
    const Instant arrival = next == order.end() ? Instant::max() : arrival_of(trace_.requests[*next], config_.speed);
    if (!events_.empty() && events_.top().at <= arrival) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.at;
      if (nodes_[event.subject].next_event == event.at) turn(event.subject);
    } else {
      now_ = arrival;
      arrive(*next++);
    }
  }
  return std::move(result_);
}

void CoupledRun::arrive(std::uint32_t request) {
  const auto least = std::ranges::min_element(nodes_, {}, &Node::unfinished);
  const auto index = static_cast<std::uint32_t>(least - nodes_.begin());
  RequestOutcome& outcome = result_.requests[request];
  outcome.arrival = now_;
  outcome.prefill = outcome.decode = index;
  least->waiting.push_back(request);
  ++least->unfinished;
  // While a prompt is computed nothing is decided; otherwise at the end of the present step.
  if (!least->computing) await(index, least->batch.boundary(now_));
}

void CoupledRun::turn(std::uint32_t index) {
  Node& node = nodes_[index];
  node.next_event = Instant::max();
  const bool computed = node.computing && node.computed == trace_.requests[*node.computing].input_tokens;
  for (const DecodeBatch::Ended& ended : node.batch.advance(now_)) complete(node, ended.request, ended.tbt);
  if (computed) finish_prompt(node);
  if (!node.computing && !node.waiting.empty() && has_room(node)) begin_prompt(node);
  compute(index);
}

void CoupledRun::begin_prompt(Node& node) {
  const std::uint32_t request = node.waiting.front();
  node.waiting.pop_front();
  node.computing = request;
  node.kv_tokens += kv_tokens_of(request);
  RequestOutcome& outcome = result_.requests[request];
  outcome.prefill_start = now_;
  const TraceRequest& traced = trace_.requests[request];
  if (node.cache) {
    const auto blocks = trace_.blocks_of(traced);
    const auto missing =
        std::ranges::find_if_not(blocks, [&](TraceBlock block) { return node.cache->contains(block); });
    outcome.reused_blocks = static_cast<std::uint32_t>(missing - blocks.begin());
  }
  node.computed = kvcache::reusable_tokens(traced.input_tokens, outcome.reused_blocks * kTraceBlockTokens,
                                           /*block_tokens=*/1, kComputedTokensMin);
}

void CoupledRun::finish_prompt(Node& node) {
  const std::uint32_t request = *node.computing;
  node.computing.reset();
  const TraceRequest& traced = trace_.requests[request];
  result_.requests[request].first_token = now_;
  if (node.cache) {
    const auto blocks = trace_.blocks_of(traced);
    for (std::uint32_t depth = 0; depth < blocks.size(); ++depth) node.cache->use(blocks[depth], depth);
  }
  if (traced.output_tokens <= 1) return complete(node, request, std::nullopt);
  node.batch.join({.request = request,
                   .steps = traced.output_tokens - 1,
                   .context = std::uint64_t{traced.input_tokens} + 1,
                   .previous_token = now_});
}

// What the engine does next, and when it is between two steps again.
void CoupledRun::compute(std::uint32_t index) {
  Node& node = nodes_[index];
  if (node.computing) {
    const std::uint32_t input = trace_.requests[*node.computing].input_tokens;
    const std::uint32_t to = config_.chunk_tokens ? std::min(input, node.computed + *config_.chunk_tokens) : input;
    const bool alone = !config_.chunk_tokens || node.batch.size() == 0;
    const Nanos time =
        config_.chunk_tokens ? chunk_time(node.computed, to, alone) : cost_->prefill(index, input, node.computed);
    node.computed = to;
    node.batch.pause(time);
    // Alone, the prompt is all there is; in a chunked step everybody else gets a token with it.
    return await(index, alone ? now_ + time : node.batch.boundary(now_ + time + Nanos{1}));
  }
  if (const auto end = node.batch.next_end()) await(index, *end);
}

// The tokens [from, to) of a prompt; a step's own overhead is paid by the step unless it has no other members.
Nanos CoupledRun::chunk_time(std::uint32_t from, std::uint32_t to, bool alone) const {
  const double a = from;
  const double b = to;
  const kvcache::CostProfile& profile = config_.profile;
  const double ms = profile.prefill_ms_per_token * (b - a) + profile.prefill_ms_per_token2 * (b * b - a * a);
  return from_ms(ms * config_.chunk_overhead + (alone ? profile.prefill_fixed_ms : 0));
}

void CoupledRun::await(std::uint32_t index, Instant at) {
  if (at >= nodes_[index].next_event) return;
  nodes_[index].next_event = at;
  events_.push({at, EventKind::kDecodeStep, index});
}

void CoupledRun::complete(Node& node, std::uint32_t request, std::optional<Nanos> tbt) {
  RequestOutcome& outcome = result_.requests[request];
  outcome.outcome = Outcome::kCompleted;
  outcome.end = now_;
  outcome.tbt = tbt;
  node.kv_tokens -= kv_tokens_of(request);
  --node.unfinished;
}

Status check(const Trace& trace, const CoupledConfig& config) {
  if (config.nodes == 0 || config.nodes > kClusterInstancesMax) {
    return {Code::kInvalidArgument, fmt::format("expected 1 to {} nodes, got {}", kClusterInstancesMax, config.nodes)};
  }
  if (!(config.speed > 0)) return {Code::kInvalidArgument, "the speed must be above 0"};
  if (config.chunk_tokens == 0u) return {Code::kInvalidArgument, "a chunk needs at least one token"};
  for (const TraceRequest& request : trace.requests) {
    if (std::uint64_t{request.input_tokens} + kAnswerTokensMax <= config.kv_tokens) continue;
    return {Code::kInvalidArgument,
            fmt::format("a prompt of {} tokens and its answer need more KVCache than a node has, {}",
                        request.input_tokens, config.kv_tokens)};
  }
  return {};
}

}  // namespace

Result<ClusterResult> run_coupled(const Trace& trace, const CoupledConfig& config) {
  MC_RETURN_IF_ERROR(check(trace, config));
  CoupledRun run(trace, config);
  MC_RETURN_IF_ERROR(run.prepare());
  return run.run();
}

}  // namespace mooncake::sim
