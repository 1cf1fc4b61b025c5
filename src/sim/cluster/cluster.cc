#include "sim/cluster/cluster.h"

#include <algorithm>
#include <deque>
#include <numeric>
#include <optional>

#include "base/check.h"
#include "kvcache/chunk_plan.h"
#include "sim/cluster/cluster_parts.h"
#include "sim/cluster/event_queue.h"
#include "sim/cluster/node_copies.h"
#include "sim/cluster/node_roles.h"
#include "sim/cluster/prefill_node.h"

namespace mooncake::sim {
namespace {

using conductor::Decision;
using conductor::InstanceId;
using conductor::Phase;
using conductor::RequestNumber;

/// What is known of a request between its events, besides its outcome.
struct Journey {
  Brought brought;
  std::uint32_t reuse_max = UINT32_MAX;
  Instant ready_at{};    // what is brought is there
  Instant kv_sent_at{};  // to the decode instance, but for what prefill still computes
};

class ClusterRun {
 public:
  ClusterRun(const Trace& trace, const ClusterConfig& config, const DecisionSink& sink)
      : trace_(trace),
        config_(config),
        sink_(sink),
        truth_(kvcache::make_cost_model(config.profile)),
        loss_(config.seed) {}

  Status prepare();
  ClusterResult run();

 private:
  void happen(const Event& event);
  void tick();
  void carry_out(const conductor::Action& action);
  void arrive(std::uint32_t request);
  void place(std::uint32_t request, const Decision& decision);
  void fetch(std::uint32_t request, const conductor::Candidate& prefill);
  void read_ssd(std::uint32_t request, std::uint32_t blocks);
  void await(std::uint32_t request, Instant ready_at);
  void start_prefill(std::uint32_t instance);
  void end_prefill(std::uint32_t instance);
  void report_cache(std::vector<conductor::CacheEvent> message);
  void ready_for_decode(std::uint32_t request);
  void step(std::uint32_t instance);
  void await_step(std::uint32_t instance, Instant at);
  void complete(std::uint32_t request, std::optional<Nanos> tbt);

  [[nodiscard]] std::span<const TraceBlock> blocks_of(std::uint32_t request) const {
    return trace_.blocks_of(trace_.requests[request]);
  }
  [[nodiscard]] bool somebody_has(TraceBlock block) const {
    return std::ranges::any_of(prefill_, [block](const PrefillNode& node) { return node.has(block); });
  }
  [[nodiscard]] InstanceId decode_id(std::uint32_t request) const {
    return InstanceId{static_cast<std::uint32_t>(prefill_.size()) + result_.requests[request].decode};
  }
  [[nodiscard]] static RequestNumber number(std::uint32_t request) { return RequestNumber{request}; }
  [[nodiscard]] conductor::Tenant tenant_of(std::uint32_t request) const {
    return {.id = conductor::TenantId{trace_.requests[request].tenant}};
  }
  [[nodiscard]] double bytes_of(std::uint32_t blocks) const {
    return config_.profile.kv_bytes_per_token * kTraceBlockTokens * blocks;
  }
  [[nodiscard]] std::uint64_t kv_tokens_of(std::uint32_t request) const {
    return std::uint64_t{trace_.requests[request].input_tokens} + kAnswerTokensMax;
  }

  const Trace& trace_;
  const ClusterConfig& config_;
  const DecisionSink& sink_;
  const std::unique_ptr<kvcache::CostModel> truth_;  // what things take; never corrected
  std::unique_ptr<conductor::Conductor> conductor_;
  std::optional<NodeRoles> roles_;
  std::vector<PrefillNode> prefill_;
  NodeCopies copies_{config_, prefill_};
  std::vector<DecodeInstance> decode_;
  EventQueue events_;
  std::deque<std::vector<conductor::CacheEvent>> messages_;  // on their way to the Conductor
  Rng loss_;
  std::vector<conductor::Action> actions_;
  std::size_t arrivals_left_ = 0;
  Instant now_{};
  std::vector<Journey> journeys_;
  ClusterResult result_;
};

Status ClusterRun::prepare() {
  MC_ASSIGN_OR_RETURN(prefill_, make_prefill_nodes(config_));
  decode_ = make_decode_instances(config_, *truth_);
  conductor_ = make_conductor(config_);
  roles_.emplace(config_, *conductor_);
  if (config_.elastic || config_.replicate) events_.push({Instant(conductor::kTickPeriod), EventKind::kTick, 0});
  return {};
}

ClusterResult ClusterRun::run() {
  result_.requests.resize(trace_.requests.size());
  journeys_.resize(trace_.requests.size());
  std::vector<std::uint32_t> order(trace_.requests.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::stable_sort(order, {}, [this](std::uint32_t i) { return trace_.requests[i].arrival; });
  arrivals_left_ = order.size();
  auto next = order.begin();
  while (next != order.end() || !events_.empty()) {
    // At one instant, what ends comes before who arrives.
    const Instant arrival = next == order.end() ? Instant::max() : arrival_of(trace_.requests[*next], config_.speed);
    if (!events_.empty() && events_.top().at <= arrival) {
      const Event event = events_.top();
      events_.pop();
      CHECK(event.at >= now_);
      now_ = event.at;
      happen(event);
    } else {
      now_ = arrival;
      --arrivals_left_;
      arrive(*next++);
    }
  }
  result_.replicated_blocks = copies_.blocks();
  result_.role_changes = roles_->changes();
  result_.prefill_at_end = roles_->prefill_nodes();
  return std::move(result_);
}

void ClusterRun::happen(const Event& event) {
  switch (event.kind) {
    case EventKind::kPrefillEnd:
      return end_prefill(event.subject);
    case EventKind::kFetchEnd:
      return start_prefill(event.subject);
    case EventKind::kCopyEnd:
      return report_cache(copies_.arrived(event.subject));
    case EventKind::kCacheEvents:
      conductor_->on_cache(messages_.front(), now_);
      return messages_.pop_front();
    case EventKind::kDecodeReady:
      return ready_for_decode(event.subject);
    case EventKind::kDecodeStep:
      if (decode_[event.subject].next_step == event.at) step(event.subject);
      return;
    case EventKind::kTick:
      return tick();
  }
}

void ClusterRun::tick() {
  actions_.clear();
  conductor_->on_tick(now_, actions_);
  for (const conductor::Action& action : actions_) carry_out(action);
  if (arrivals_left_ > 0 || !events_.empty()) events_.push({now_ + conductor::kTickPeriod, EventKind::kTick, 0});
}

void ClusterRun::carry_out(const conductor::Action& action) {
  switch (action.kind) {
    case conductor::Action::Kind::kChangeRole:
      return roles_->change(action, now_);
    case conductor::Action::Kind::kReplicate:
      if (const auto sent = copies_.send(action, now_)) events_.push({sent->arrives, EventKind::kCopyEnd, sent->copy});
      return;
  }
}

void ClusterRun::arrive(std::uint32_t request) {
  const TraceRequest& traced = trace_.requests[request];
  std::vector<Key128> keys;
  keys.reserve(traced.block_count);
  for (const TraceBlock block : blocks_of(request)) keys.push_back(key_of(block));
  const Decision decision = conductor_->on_request({.number = number(request),
                                                    .prompt_tokens = traced.input_tokens,
                                                    .block_keys = keys,
                                                    .answer_tokens_max = config_.prefill_only ? 0 : kAnswerTokensMax,
                                                    .slo = config_.slo,
                                                    .priority = traced.priority,
                                                    .tenant = tenant_of(request)},
                                                   now_);
  if (sink_) sink_(request, decision, now_);
  RequestOutcome& outcome = result_.requests[request];
  outcome.arrival = now_;
  outcome.end = now_;
  outcome.refusal = decision.refusal;
  if (decision.verdict == conductor::Verdict::kAccept) place(request, decision);
}

void ClusterRun::place(std::uint32_t request, const Decision& decision) {
  RequestOutcome& outcome = result_.requests[request];
  outcome.prefill = static_cast<std::uint32_t>(decision.prefill);
  outcome.decode = static_cast<std::uint32_t>(decision.decode) - static_cast<std::uint32_t>(prefill_.size());
  roles_->given(decision.prefill);
  roles_->given(decision.decode);
  const auto& prefill = *std::ranges::find(decision.candidates, decision.prefill, &conductor::Candidate::instance);
  journeys_[request].reuse_max = decision.reuse_blocks_max.value_or(UINT32_MAX);
  if (prefill.reused_blocks > prefill.local_prefix_blocks) fetch(request, prefill);
  read_ssd(request, std::min(prefill.reused_blocks, prefill.local_prefix_blocks));
  CHECK(prefill_[outcome.prefill].queue.push(number(request), prefill.prefill, tenant_of(request)).ok());
  start_prefill(outcome.prefill);
}

void ClusterRun::fetch(std::uint32_t request, const conductor::Candidate& prefill) {
  Brought& brought = journeys_[request].brought;
  brought.fetched_from = prefill.local_prefix_blocks;
  brought.fetched_to = brought.fetched_from;
  PrefillNode& sender = prefill_[static_cast<std::uint32_t>(prefill.fetch_from)];
  const auto is_somewhere = [&](TraceBlock block) { return sender.has(block) || somebody_has(block); };
  while (brought.fetched_to < prefill.reused_blocks && is_somewhere(blocks_of(request)[brought.fetched_to])) {
    ++brought.fetched_to;
  }
  const std::uint32_t count = brought.fetched_to - brought.fetched_from;
  if (count == 0) return;  // the Conductor's view was outdated
  const auto fetched = blocks_of(request).subspan(brought.fetched_from, count);
  await(request, sender.link.send(bytes_of(count), now_));
  if (const auto read = std::ranges::count_if(fetched, [&](TraceBlock block) { return sender.only_on_ssd(block); })) {
    await(request, sender.ssd.send(bytes_of(static_cast<std::uint32_t>(read)), now_));
    result_.ssd_blocks_read += static_cast<std::uint64_t>(read);
  }
  sender.read(fetched);
  ++result_.transfers;
}

// What of the first blocks is on the node's SSDs only and not read for the prompt yet.
void ClusterRun::read_ssd(std::uint32_t request, std::uint32_t blocks) {
  PrefillNode& node = prefill_[result_.requests[request].prefill];
  if (!node.has_ssd()) return;
  Brought& brought = journeys_[request].brought;
  brought.read.resize(trace_.requests[request].block_count);
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < blocks; ++i) {
    if (brought.holds(i) || !node.only_on_ssd(blocks_of(request)[i])) continue;
    brought.read[i] = true;
    ++count;
  }
  if (count == 0) return;
  result_.ssd_blocks_read += count;
  await(request, node.ssd.send(bytes_of(count), now_));
}

void ClusterRun::await(std::uint32_t request, Instant ready_at) {
  Journey& journey = journeys_[request];
  if (ready_at <= journey.ready_at) return;
  journey.ready_at = ready_at;
  events_.push({ready_at, EventKind::kFetchEnd, result_.requests[request].prefill});
}

// The prompt whose turn it is, if nothing runs and its prefix is here.
void ClusterRun::start_prefill(std::uint32_t instance) {
  PrefillNode& node = prefill_[instance];
  const auto head = node.queue.next();
  if (!head || node.queue.running() > 0) return;
  const auto request = static_cast<std::uint32_t>(*head);
  Journey& journey = journeys_[request];
  if (journey.ready_at > now_) return;
  const std::uint32_t reused = std::min(journey.reuse_max, node.leading(blocks_of(request), journey.brought));
  read_ssd(request, reused);  // went from memory while the prompt waited
  if (journey.ready_at > now_) return;
  CHECK(node.queue.start(now_) == head);
  RequestOutcome& outcome = result_.requests[request];
  const std::uint32_t tokens = trace_.requests[request].input_tokens;
  outcome.prefill_start = now_;
  outcome.reused_blocks = reused;
  const std::uint32_t reused_tokens = kvcache::reusable_tokens(tokens, outcome.reused_blocks * kTraceBlockTokens,
                                                               /*block_tokens=*/1, kComputedTokensMin);
  if (!config_.prefill_only) journey.kv_sent_at = node.link.send(config_.profile.kv_bytes_per_token * tokens, now_);
  conductor_->on_phase(number(request), Phase::kPrefillStart, now_);
  events_.push({now_ + truth_->prefill(instance, tokens, reused_tokens), EventKind::kPrefillEnd, instance});
}

void ClusterRun::end_prefill(std::uint32_t instance) {
  PrefillNode& node = prefill_[instance];
  const auto request = static_cast<std::uint32_t>(node.queue.running_request().value());
  CHECK(node.queue.remove(number(request)));
  RequestOutcome& outcome = result_.requests[request];
  outcome.first_token = now_;
  const TraceRequest& traced = trace_.requests[request];
  conductor_->on_prefill_actual(
      InstanceId{instance},
      {.prompt_tokens = traced.input_tokens,
       .reused_tokens = kvcache::reusable_tokens(traced.input_tokens, outcome.reused_blocks * kTraceBlockTokens,
                                                 /*block_tokens=*/1, kComputedTokensMin),
       .prefill = now_ - outcome.prefill_start});
  conductor_->on_phase(number(request), Phase::kPrefillEnd, now_);
  report_cache(node.use(blocks_of(request)));
  if (config_.prefill_only || traced.output_tokens <= 1) {
    complete(request, std::nullopt);
  } else if (const auto refusal = conductor_->before_decode(number(request), now_)) {
    outcome.outcome = Outcome::kRejectedAfterPrefill;
    outcome.refusal = refusal->kind;
    outcome.end = now_;
    conductor_->on_phase(number(request), Phase::kAbort, now_);
    roles_->done(decode_id(request), now_);
  } else {
    // What has been computed follows at once; the last of it takes the link's latency.
    const Instant last = now_ + from_ms(config_.profile.link_latency_ms);
    events_.push({std::max(last, journeys_[request].kv_sent_at), EventKind::kDecodeReady, request});
  }
  start_prefill(instance);
  roles_->done(InstanceId{instance}, now_);
}

// What the store tells the Conductor: at once, later, or never. All are equally late, so they come in order.
void ClusterRun::report_cache(std::vector<conductor::CacheEvent> message) {
  if (config_.event_loss > 0 && loss_.uniform() < config_.event_loss) return;
  if (config_.event_delay == Nanos{0}) return conductor_->on_cache(message, now_);
  messages_.push_back(std::move(message));
  events_.push({now_ + config_.event_delay, EventKind::kCacheEvents, 0});
}

void ClusterRun::ready_for_decode(std::uint32_t request) {
  const std::uint32_t instance = result_.requests[request].decode;
  DecodeInstance& decode = decode_[instance];
  CHECK(decode.schedule.reserve(number(request), 0, kv_tokens_of(request)).ok());
  CHECK(decode.schedule.next_to_land() == number(request));
  CHECK(decode.schedule.landed(number(request)).ok());
  await_step(instance, decode.batch.boundary(now_));
}

// The end of a step: who is done leaves, who is next joins.
void ClusterRun::step(std::uint32_t instance) {
  DecodeInstance& decode = decode_[instance];
  decode.next_step = Instant::max();
  for (const DecodeBatch::Ended& ended : decode.batch.advance(now_)) {
    CHECK(decode.schedule.release(number(ended.request)));
    complete(ended.request, ended.tbt);
  }
  while (const auto next = decode.schedule.next_to_join()) {
    const auto request = static_cast<std::uint32_t>(*next);
    CHECK(decode.schedule.finish_landing(*next));
    conductor_->on_phase(*next, Phase::kDecodeJoin, now_);
    const TraceRequest& traced = trace_.requests[request];
    decode.batch.join({.request = request,
                       .steps = traced.output_tokens - 1,
                       .context = std::uint64_t{traced.input_tokens} + 1,
                       .previous_token = result_.requests[request].first_token});
  }
  if (const auto end = decode.batch.next_end()) await_step(instance, *end);
}

void ClusterRun::await_step(std::uint32_t instance, Instant at) {
  if (at >= decode_[instance].next_step) return;
  decode_[instance].next_step = at;
  events_.push({at, EventKind::kDecodeStep, instance});
}

void ClusterRun::complete(std::uint32_t request, std::optional<Nanos> tbt) {
  RequestOutcome& outcome = result_.requests[request];
  outcome.outcome = Outcome::kCompleted;
  outcome.end = now_;
  outcome.tbt = tbt;
  if (tbt) conductor_->on_tbt_actual(number(request), *tbt, now_);
  conductor_->on_phase(number(request), Phase::kDecodeEnd, now_);
  roles_->done(decode_id(request), now_);
}

}  // namespace

Result<ClusterResult> run_cluster(const Trace& trace, const ClusterConfig& config, const DecisionSink& sink) {
  MC_RETURN_IF_ERROR(check(config));
  ClusterRun run(trace, config, sink);
  MC_RETURN_IF_ERROR(run.prepare());
  return run.run();
}

}  // namespace mooncake::sim
