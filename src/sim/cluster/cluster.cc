#include "sim/cluster/cluster.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "conductor/later_attempts.h"
#include "sim/cluster/cluster_run.h"

namespace mooncake::sim {

using conductor::Decision;
using conductor::InstanceId;
using conductor::Phase;
using Stage = Journey::Stage;

Status ClusterRun::prepare() {
  MC_ASSIGN_OR_RETURN(prefill_, make_prefill_nodes(config_));
  conductor_ = make_conductor(config_);
  roles_.emplace(config_, *conductor_);
  if (config_.elastic || config_.replicate) events_.push({Instant(conductor::kTickPeriod), EventKind::kTick, 0});
  return {};
}

ClusterResult ClusterRun::run() {
  result_.requests.resize(trace_.requests.size());
  std::vector<std::uint32_t> order(trace_.requests.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::stable_sort(order, {}, [this](std::uint32_t i) { return trace_.requests[i].arrival; });
  arrivals_left_ = order.size();
  auto next = order.begin();
  while (next != order.end() || !events_.empty()) {
    // At one instant, what ends comes before who fails, and that before who arrives.
    const Instant arrival = next == order.end() ? Instant::max() : arrival_of(trace_.requests[*next], config_.speed);
    const Instant failure = next_failure();
    if (!events_.empty() && events_.top().at <= std::min(arrival, failure)) {
      const Event event = events_.top();
      events_.pop();
      CHECK(event.at >= now_);
      now_ = event.at;
      happen(event);
    } else if (failure <= arrival) {
      now_ = failure;
      change(failures_.happen());
    } else {
      now_ = arrival;
      --arrivals_left_;
      arrive(*next++);
    }
    wake();
  }
  CHECK(nothing_is_left());
  result_.node_failures = failures_.failures();
  result_.replicated_blocks = copies_.blocks();
  result_.role_changes = roles_->changes();
  result_.prefill_at_end = roles_->prefill_nodes();
  return std::move(result_);
}

bool ClusterRun::nothing_is_left() const {
  return !journeys_.any_open() && roles_->idle() && decode_.idle() &&
         std::ranges::all_of(
             prefill_, [](const PrefillNode& node) { return node.queue.running() == 0 && node.queue.queued() == 0; });
}

void ClusterRun::happen(const Event& event) {
  switch (event.kind) {
    case EventKind::kPrefillEnd:
      // Outdated if the prompt was lost or taken back meanwhile.
      if (const auto running = prefill_[event.subject].queue.running_request();
          running && journeys_.due(static_cast<std::uint32_t>(*running), Stage::kPrefill, event.at)) {
        end_prefill(event.subject);
      }
      return;
    case EventKind::kFetchEnd:
      return start_prefill(event.subject);
    case EventKind::kCopyEnd:
      return report_cache(copies_.arrived(event.subject));
    case EventKind::kCacheEvents:
      conductor_->on_cache(messages_.front(), now_);
      return messages_.pop_front();
    case EventKind::kDecodeReady:
      if (journeys_.due(event.subject, Stage::kSending, event.at)) land(event.subject);
      return;
    case EventKind::kDecodeStep:
      if (decode_.awaits(event)) step(event.subject);
      return;
    case EventKind::kWaitEnd:
      if (journeys_.due(event.subject, Stage::kUndecided, event.at)) refuse(event.subject);
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
      if (const auto sent = copies_.send(action, now_)) {
        events_.push({sent->arrives, EventKind::kCopyEnd, sent->copy});
        result_.ssd_blocks_read += sent->from_ssd;
      }
      return;
  }
}

void ClusterRun::arrive(std::uint32_t request) {
  journeys_.arrive(request);
  result_.requests[request].arrival = now_;
  decide(request);
}

// As the gateway does: who was admitted before has no objectives any more, and waits for a node if it has to.
void ClusterRun::decide(std::uint32_t request) {
  if (config_.mtbf && !roles_->complete()) return wait_for_node(request);
  const TraceRequest& traced = trace_.requests[request];
  const bool admitted = journeys_[request].attempts_lost > 0;
  std::vector<Key128> keys;
  keys.reserve(traced.block_count);
  for (const TraceBlock block : blocks_of(request)) keys.push_back(key_of(block));
  const Decision decision = conductor_->on_request({.number = number(request),
                                                    .prompt_tokens = journeys_.prompt_tokens(request),
                                                    .block_keys = keys,
                                                    .answer_tokens_max = journeys_.answer_tokens_max(request),
                                                    .slo = admitted ? conductor::kNoObjectives : config_.slo,
                                                    .priority = traced.priority,
                                                    .tenant = tenant_of(request)},
                                                   now_);
  if (sink_) sink_(request, decision, now_);
  if (decision.verdict != conductor::Verdict::kAccept) {
    result_.requests[request].refusal = decision.refusal;
    return refuse(request);
  }
  result_.placed_again += admitted ? 1 : 0;
  place(request, decision);
}

void ClusterRun::place(std::uint32_t request, const Decision& decision) {
  Journey& journey = journeys_[request];
  journey.stage = Stage::kPrefill;
  journey.due = Instant::max();
  journey.prefill = static_cast<std::uint32_t>(decision.prefill);
  journey.decode = static_cast<std::uint32_t>(decision.decode) - static_cast<std::uint32_t>(prefill_.size());
  roles_->given(decision.prefill);
  roles_->given(decision.decode);
  const auto& prefill = *std::ranges::find(decision.candidates, decision.prefill, &conductor::Candidate::instance);
  journey.reuse_max = decision.reuse_blocks_max.value_or(UINT32_MAX);
  if (prefill.reused_blocks > prefill.local_prefix_blocks) fetch(request, prefill);
  read_ssd(request, std::min(prefill.reused_blocks, prefill.local_prefix_blocks));
  CHECK(prefill_[journey.prefill].queue.push(number(request), prefill.prefill, tenant_of(request)).ok());
  start_prefill(journey.prefill);
}

void ClusterRun::fetch(std::uint32_t request, const conductor::Candidate& prefill) {
  Journey& journey = journeys_[request];
  Brought& brought = journey.brought;
  journey.fetch_from = static_cast<std::uint32_t>(prefill.fetch_from);
  brought.fetched_from = prefill.local_prefix_blocks;
  brought.fetched_to = brought.fetched_from;
  PrefillNode& sender = prefill_[static_cast<std::uint32_t>(prefill.fetch_from)];
  const auto is_somewhere = [&](TraceBlock block) { return sender.has(block) || somebody_has(block); };
  while (brought.fetched_to < prefill.reused_blocks && is_somewhere(blocks_of(request)[brought.fetched_to])) {
    ++brought.fetched_to;
  }
  const std::uint32_t count = brought.fetched_to - brought.fetched_from;
  if (count == 0) return;  // the Conductor's view was outdated
  const auto sent = sender.send(blocks_of(request).subspan(brought.fetched_from, count), bytes_of(1), now_);
  journey.fetched_at = sent.arrives;
  events_.push({journey.fetched_at, EventKind::kFetchEnd, journey.prefill});
  result_.ssd_blocks_read += sent.from_ssd;
  ++result_.transfers;
}

// What of the first blocks is on the node's SSDs only and not read for the prompt yet.
void ClusterRun::read_ssd(std::uint32_t request, std::uint32_t blocks) {
  Journey& journey = journeys_[request];
  PrefillNode& node = prefill_[journey.prefill];
  if (!node.has_ssd()) return;
  Brought& brought = journey.brought;
  brought.read.resize(trace_.requests[request].block_count);
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < blocks; ++i) {
    if (brought.holds(i) || !node.only_on_ssd(blocks_of(request)[i])) continue;
    brought.read[i] = true;
    ++count;
  }
  if (count == 0) return;
  result_.ssd_blocks_read += count;
  journey.read_at = node.ssd.send(bytes_of(count), now_);
  events_.push({journey.read_at, EventKind::kFetchEnd, journey.prefill});
}

// The prompt whose turn it is, if nothing runs and its prefix is here.
void ClusterRun::start_prefill(std::uint32_t instance) {
  PrefillNode& node = prefill_[instance];
  const auto head = node.queue.next();
  if (!head || node.queue.running() > 0) return;
  const auto request = static_cast<std::uint32_t>(*head);
  Journey& journey = journeys_[request];
  if (journey.ready_at() > now_) return;
  const std::uint32_t reused = std::min(journey.reuse_max, node.leading(blocks_of(request), journey.brought));
  read_ssd(request, reused);  // went from memory while the prompt waited
  if (journey.ready_at() > now_) return;
  CHECK(node.queue.start(now_) == head);
  const std::uint32_t tokens = journeys_.prompt_tokens(request);
  journey.prefill_start = now_;
  journey.reused_blocks = reused;
  if (!config_.prefill_only) journey.kv_sent_at = node.link.send(config_.profile.kv_bytes_per_token * tokens, now_);
  conductor_->on_phase(number(request), Phase::kPrefillStart, now_);
  journey.due = now_ + truth_->prefill(instance, tokens, journeys_.reused_tokens(request));
  events_.push({journey.due, EventKind::kPrefillEnd, instance});
}

void ClusterRun::end_prefill(std::uint32_t instance) {
  PrefillNode& node = prefill_[instance];
  const auto request = static_cast<std::uint32_t>(node.queue.running_request().value());
  CHECK(node.queue.remove(number(request)));
  Journey& journey = journeys_[request];
  conductor_->on_prefill_actual(InstanceId{instance}, {.prompt_tokens = journeys_.prompt_tokens(request),
                                                       .reused_tokens = journeys_.reused_tokens(request),
                                                       .prefill = now_ - journey.prefill_start});
  conductor_->on_phase(number(request), Phase::kPrefillEnd, now_);
  report_cache(node.use(blocks_of(request)));
  note_first_token(request);
  if (config_.prefill_only || journeys_.answered(request)) {
    complete(request, journey.gaps.empty() ? std::nullopt : std::optional(kvcache::request_tbt(journey.gaps)));
  } else if (const auto refusal =
                 journey.attempts_lost == 0 ? conductor_->before_decode(number(request), now_) : std::nullopt) {
    result_.requests[request].refusal = refusal->kind;
    conductor_->on_phase(number(request), Phase::kAbort, now_);
    end(request, Outcome::kRejectedAfterPrefill);
    roles_->done(decode_id(request), now_);
  } else {
    // What has been computed follows at once; the last of it takes the link's latency.
    journey.stage = Stage::kSending;
    journey.due = std::max(now_ + from_ms(config_.profile.link_latency_ms), journey.kv_sent_at);
    events_.push({journey.due, EventKind::kDecodeReady, request});
  }
  start_prefill(instance);
  roles_->done(InstanceId{instance}, now_);
}

// What the store tells the Conductor: at once, later, or never. All are equally late, so they come in order.
void ClusterRun::report_cache(std::vector<conductor::CacheEvent> message) {
  if (config_.event_loss > 0 && loss_.uniform() < config_.event_loss) return;
  tell_conductor(std::move(message));
}

void ClusterRun::tell_conductor(std::vector<conductor::CacheEvent> message) {
  if (config_.event_delay == Nanos{0}) return conductor_->on_cache(message, now_);
  messages_.push_back(std::move(message));
  events_.push({now_ + config_.event_delay, EventKind::kCacheEvents, 0});
}

void ClusterRun::note_first_token(std::uint32_t request) {
  const Journey& journey = journeys_[request];
  journeys_.first_token(request, now_);
  if (journey.answer_in_prompt > 0) return;  // a later one, of a request that goes on
  RequestOutcome& outcome = result_.requests[request];
  outcome.prefill = journey.prefill;
  outcome.decode = journey.decode;
  outcome.reused_blocks = journey.reused_blocks;
  outcome.prefill_start = journey.prefill_start;
  outcome.first_token = now_;
}

void ClusterRun::land(std::uint32_t request) {
  Journey& journey = journeys_[request];
  journey.stage = Stage::kDecode;
  journey.due = Instant::max();
  const std::uint64_t kv_tokens =
      std::uint64_t{journeys_.prompt_tokens(request)} + journeys_.answer_tokens_max(request);
  decode_.land(journey.decode, journeys_.joins(request), kv_tokens, now_);
}

void ClusterRun::step(std::uint32_t instance) {
  for (const DecodeBatch::Ended& ended : decode_.end_step(instance, now_)) complete(ended.request, ended.tbt);
  for (const std::uint32_t request : decode_.begin_step(instance)) {
    conductor_->on_phase(number(request), Phase::kDecodeJoin, now_);
  }
}

void ClusterRun::complete(std::uint32_t request, std::optional<Nanos> tbt) {
  result_.requests[request].tbt = tbt;
  if (tbt) conductor_->on_tbt_actual(number(request), *tbt, now_);
  conductor_->on_phase(number(request), Phase::kDecodeEnd, now_);
  end(request, Outcome::kCompleted);
  roles_->done(decode_id(request), now_);
}

void ClusterRun::end(std::uint32_t request, Outcome outcome) {
  result_.requests[request].outcome = outcome;
  result_.requests[request].end = now_;
  journeys_.end(request);
}

Result<ClusterResult> run_cluster(const Trace& trace, const ClusterConfig& config, const DecisionSink& sink) {
  MC_RETURN_IF_ERROR(check(config));
  ClusterRun run(trace, config, sink);
  MC_RETURN_IF_ERROR(run.prepare());
  return run.run();
}

}  // namespace mooncake::sim
