// The Conductor around its parts: the board is gathered, placement chooses, admission judges, bookings remember.
// Nothing here reads a clock or draws a number that was not seeded.
#include "conductor/conductor.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "conductor/admission.h"
#include "conductor/board.h"
#include "conductor/bookings.h"
#include "conductor/decode_durations.h"
#include "conductor/decode_outlook.h"
#include "conductor/elastic_roles.h"
#include "conductor/explain.h"
#include "conductor/instance_table.h"
#include "conductor/load_estimate.h"
#include "conductor/placement.h"
#include "conductor/pools.h"
#include "conductor/prediction_margin.h"
#include "conductor/reading.h"
#include "conductor/replication.h"
#include "conductor/trunk_reservation.h"
#include "kvcache/prefix_index.h"

namespace mooncake::conductor {
namespace {

// Until a worker that died is started again.
constexpr Nanos kRetryAfterNoInstance = Seconds(1);
// Averages follow the last twenty requests or so.
constexpr double kAverageWeight = 0.05;

class ConductorCore final : public Conductor {
 public:
  ConductorCore(ConductorConfig config, std::unique_ptr<kvcache::CostModel> cost,
                std::unique_ptr<PrefillChooser> chooser)
      : config_(config), cost_(std::move(cost)), load_(bookings_), chooser_(std::move(chooser)) {
    CHECK(cost_ != nullptr && chooser_ != nullptr && config_.block_tokens > 0);
  }

  Decision on_request(const RequestView& request, Instant now) override;
  void on_phase(RequestNumber request, Phase phase, Instant now) override;
  [[nodiscard]] std::optional<Refusal> before_decode(RequestNumber request, Instant now) override;
  void on_prefill_actual(InstanceId instance, const PrefillActual& actual) override;
  void on_tbt_actual(RequestNumber request, Nanos tbt, Instant now) override { tbt_margin_.observe(request, tbt, now); }
  void on_cache(std::span<const CacheEvent> events, Instant now) override;
  void on_stats(const InstanceStats& stats, Instant now) override;
  void on_instance(const InstanceChange& change, Instant now) override;
  void on_tick(Instant now, std::vector<Action>& out) override;
  [[nodiscard]] double pool_load(Role role, Instant now) const override;

 private:
  [[nodiscard]] std::vector<Candidate> candidates(const Board& board, const RequestView& request, Instant now) const;
  [[nodiscard]] std::optional<Refusal> refuse_unplaced(const Board& board, const RequestView& request) const;
  std::size_t choose_prefill(const Board& board, std::span<const Candidate> prefill, const RequestView& request);
  void place(const Board& board, const RequestView& request, Instant now, Decision& decision);
  void change_roles(Instant now, std::vector<Action>& out);
  [[nodiscard]] DecodeChoice look_ahead(const DecodeFacts& facts, const DecodeNeed& need, Instant now,
                                        Nanos ttft) const;
  void blame(const Placed& placed, const DecodeFacts& decode, const DecodeNeed& need, const Slo& slo);
  /// Too little has been measured on `prefill` to believe what is predicted for it.
  [[nodiscard]] bool only_watches(InstanceId prefill) const {
    const auto measured = prefills_measured_.find(prefill);
    return (measured == prefills_measured_.end() ? 0 : measured->second) < config_.shadow_prefills;
  }
  /// A later attempt or a further choice of a request: its objectives are laxer than anybody's.
  [[nodiscard]] bool comes_again(const Slo& slo) const {
    return slo.ttft > config_.slo.ttft && slo.tbt > config_.slo.tbt;
  }
  void forget_promises(RequestNumber request) {
    ttft_margin_.drop(request);
    tbt_margin_.drop(request);
  }
  void accept(const Board& board, const RequestView& request, const Candidate& prefill, const DecodeFacts& decode,
              Instant now, Decision& decision);

  ConductorConfig config_;
  std::unique_ptr<kvcache::CostModel> cost_;
  InstanceTable instances_;
  kvcache::PrefixIndex index_;
  kvcache::PrefixIndex on_ssd_;  // of those blocks, the ones that a node has on its SSDs only
  Bookings bookings_;
  LoadEstimate load_;
  DecodeDurations durations_;
  PredictionMargin ttft_margin_{kTtftDeviations};
  PredictionMargin tbt_margin_{kTbtDeviations};
  TrunkReservation reservation_;
  std::unique_ptr<PrefillChooser> chooser_;
  ElasticRoles roles_;
  Replication replication_;
  absl::flat_hash_map<InstanceId, std::uint32_t> prefills_measured_;
  double average_prompt_tokens_ = 0;
  double average_ttft_ms_ = 0;  // predicted, of those that were accepted
};

Decision refuse(Decision decision, Refusal refusal) {
  decision.verdict = Verdict::kReject;
  decision.refusal = refusal.kind;
  decision.reason = std::move(refusal.reason);
  decision.retry_after = refusal.retry_after;
  return decision;
}

DecodeFacts with_load(DecodeFacts facts, const DecodeLoad& load) {
  facts.requests = load.requests;
  facts.kv_tokens = load.kv_tokens;
  facts.prompt_tokens = load.prompt_tokens;
  return facts;
}

std::uint64_t kv_tokens_of(const RequestView& request) {
  return std::uint64_t{request.prompt_tokens} + request.answer_tokens_max;
}

Decision ConductorCore::on_request(const RequestView& request, Instant now) {
  bookings_.release(request.number, now);  // it is decided again after a failure
  durations_.drop(request.number);
  forget_promises(request.number);
  reservation_.asked(request.priority, now);
  average_prompt_tokens_ += kAverageWeight * (request.prompt_tokens - average_prompt_tokens_);
  const Board board = gather({.instances = instances_,
                              .index = index_,
                              .on_ssd = on_ssd_,
                              .load = load_,
                              .bookings = bookings_,
                              .block_tokens = config_.block_tokens,
                              .computed_tokens_min = config_.computed_tokens_min},
                             request, now);
  Decision decision;
  decision.candidates = candidates(board, request, now);
  if (auto refusal = refuse_unplaced(board, request)) return refuse(std::move(decision), std::move(*refusal));
  place(board, request, now, decision);
  return decision;
}

// Prefill candidates first, in the order of the board, then decode. Beside other tenants a prompt waits for its turn
// and not for all that is queued; how many turns it needs depends on how long it takes.
std::vector<Candidate> ConductorCore::candidates(const Board& board, const RequestView& request, Instant now) const {
  std::vector<Candidate> all;
  all.reserve(board.prefill.size() + board.decode.size());
  const bool alone = bookings_.only_tenant(request.tenant.id);
  for (const PrefillFacts& facts : board.prefill) {
    Candidate candidate = evaluate_prefill(config_.placement, config_.balancing_threshold, board.prompt, facts, *cost_);
    candidate.outstanding = candidate.queue;
    if (!alone) {
      candidate.queue = load_.prefill_wait(facts.instance, request.tenant, candidate.prefill, now);
      candidate.ttft = candidate.transfer + candidate.queue + candidate.prefill;
    }
    all.push_back(candidate);
  }
  for (const DecodeFacts& facts : board.decode) {
    Candidate& candidate = all.emplace_back();
    candidate.instance = facts.instance;
    candidate.role = Role::kDecode;
    candidate.tbt = predicted_tbt(facts, request.prompt_tokens, *cost_);
  }
  return all;
}

std::optional<Refusal> ConductorCore::refuse_unplaced(const Board& board, const RequestView& request) const {
  if (board.prefill.empty())
    return Refusal{RefusalKind::kNoInstance, "no prefill instance is up", kRetryAfterNoInstance};
  if (board.decode.empty()) return Refusal{RefusalKind::kNoInstance, "no decode instance is up", kRetryAfterNoInstance};
  if (request.place_prefill && instances_.usable(*request.place_prefill, Role::kPrefill) == nullptr) {
    return Refusal{RefusalKind::kNoInstance, "the prefill instance that the client asked for is not up",
                   kRetryAfterNoInstance};
  }
  if (bookings_.size() >= kBookingsMax) {
    return Refusal{RefusalKind::kInFlightLimit,
                   "this gateway has " + std::to_string(bookings_.size()) + " requests in flight, its limit",
                   kRetryAfterNoInstance};
  }
  return std::nullopt;
}

std::size_t ConductorCore::choose_prefill(const Board& board, std::span<const Candidate> prefill,
                                          const RequestView& request) {
  if (request.place_prefill) {
    const auto steered = std::ranges::find(prefill, *request.place_prefill, &Candidate::instance);
    CHECK(steered != prefill.end());
    return static_cast<std::size_t>(steered - prefill.begin());
  }
  std::vector<std::uint32_t> outstanding;
  outstanding.reserve(board.prefill.size());
  for (const PrefillFacts& facts : board.prefill) outstanding.push_back(facts.outstanding);
  return chooser_->choose(prefill, outstanding);
}

void ConductorCore::place(const Board& board, const RequestView& request, Instant now, Decision& decision) {
  const auto prefill_candidates = std::span(decision.candidates).first(board.prefill.size());
  const Candidate prefill = prefill_candidates[choose_prefill(board, prefill_candidates, request)];
  const DecodeNeed need{
      .prompt_tokens = request.prompt_tokens, .kv_tokens = kv_tokens_of(request), .tbt_objective = request.slo.tbt};
  const DecodeFacts& decode = board.decode[choose_decode(board.decode, need, *cost_).index];
  const DecodeChoice choice = look_ahead(decode, need, now, prefill.ttft);
  decision.prefill = prefill.instance;
  decision.decode = decode.instance;
  decision.predicted_ttft = prefill.ttft;
  decision.predicted_tbt = choice.tbt;
  decision.reused_blocks = prefill.reused_blocks;
  Placed placed{.prefill = prefill, .decode = choice, .decode_drain = durations_.until_one_ends(decode.requests)};
  const TrunkReservation::Allowance allowance = reservation_.allowance(request.priority, now);
  placed.share = allowance.share;
  if (allowance.keeps_margin) {
    placed.ttft_margin = ttft_margin_.margin({.predicted = prefill.ttft, .objective = request.slo.ttft}, now);
    placed.tbt_margin = tbt_margin_.margin({.predicted = choice.tbt, .objective = request.slo.tbt}, now);
  }
  if (config_.elastic) blame(placed, decode, need, request.slo);
  auto refusal = judge(config_.admission, request.slo, placed);
  // What can never be served is refused in any case: retrying does not help there.
  const bool shadow = refusal && only_watches(prefill.instance) && refusal->retry_after > Nanos{0};
  if (refusal && !shadow) {
    decision = refuse(std::move(decision), std::move(*refusal));
  } else {
    accept(board, request, prefill, decode, now, decision);
    if (shadow) decision.reason += explain_shadow(*refusal, config_.shadow_prefills);
  }
}

// The chosen instance as the admission policy expects it; what others gave it counts as it was reported.
DecodeChoice ConductorCore::look_ahead(const DecodeFacts& facts, const DecodeNeed& need, Instant now,
                                       Nanos ttft) const {
  const OutlookQuestion question{
      .now = now, .ttft = ttft, .average_ttft = from_ms(average_ttft_ms_), .decode_time = config_.decode_time};
  DecodeLoad load = expected_load(config_.admission, bookings_.decode_line(facts.instance), question, durations_);
  load += load_.foreign_decode(facts.instance);
  return evaluate_decode(0, with_load(facts, load), need, *cost_);
}

// Which pool makes the request miss an objective. Policies that look ahead at nobody count everything promised as if it
// decoded now, and a prefill pool that cannot keep up would look like a busy decode pool.
void ConductorCore::blame(const Placed& placed, const DecodeFacts& decode, const DecodeNeed& need, const Slo& slo) {
  if (comes_again(slo)) return;  // it has no objective to break, and says nothing
  DecodeChoice choice = placed.decode;
  if (config_.admission == AdmissionPolicy::kNone || config_.admission == AdmissionPolicy::kBaseline) {
    DecodeLoad running = bookings_.decode_line(decode.instance).joined();
    running += load_.foreign_decode(decode.instance);
    choice = evaluate_decode(0, with_load(decode, running), need, *cost_);
  }
  roles_.judged(placed.prefill.ttft + placed.ttft_margin > slo.ttft,
                choice.fit == DecodeFit::kFull || choice.tbt + placed.tbt_margin > slo.tbt);
}

void ConductorCore::accept(const Board& board, const RequestView& request, const Candidate& prefill,
                           const DecodeFacts& decode, Instant now, Decision& decision) {
  decision.verdict = Verdict::kAccept;
  average_ttft_ms_ =
      average_ttft_ms_ == 0 ? to_ms(prefill.ttft) : std::lerp(average_ttft_ms_, to_ms(prefill.ttft), kAverageWeight);
  if (prefill.reused_blocks < board.prompt.best_blocks) decision.reuse_blocks_max = prefill.reused_blocks;
  decision.recompute = decision.reuse_blocks_max == 0;
  if (config_.replicate && !comes_again(request.slo)) {
    replication_.used(request.block_keys.first(board.prompt.best_blocks), board.prefill.size(), now);
  }
  decision.reason =
      explain_accept(config_.placement, {.prefill = prefill,
                                         .prefill_name = instances_.name(prefill.instance),
                                         .decode_name = instances_.name(decode.instance),
                                         .prefill_candidates = board.prefill.size(),
                                         .decode_requests = decode.requests,
                                         .prompt_blocks = static_cast<std::uint32_t>(request.block_keys.size()),
                                         .steered = request.place_prefill.has_value()});
  Booking booking{.request = request.number,
                  .prefill = prefill.instance,
                  .decode = decode.instance,
                  .tenant = request.tenant,
                  .priority = request.priority,
                  .prefill_work = prefill.prefill,
                  .prompt_tokens = request.prompt_tokens,
                  .kv_tokens = kv_tokens_of(request),
                  .expected_join = now + prefill.ttft,
                  .tbt_objective = request.slo.tbt};
  booking.readings = readings_of(prefill, instances_.usable(prefill.instance, Role::kPrefill)->attached_node,
                                 config_.block_tokens, *cost_);
  bookings_.book(booking, now);
  ttft_margin_.expect(request.number, {.predicted = prefill.ttft, .objective = request.slo.ttft}, now);
  tbt_margin_.expect(request.number, {.predicted = decision.predicted_tbt, .objective = request.slo.tbt}, now);
}

void ConductorCore::on_phase(RequestNumber request, Phase phase, Instant now) {
  switch (phase) {
    case Phase::kPrefillStart:
      return bookings_.start_prefill(request, now);
    case Phase::kPrefillEnd:
      if (const auto accepted = ttft_margin_.accepted(request)) ttft_margin_.observe(request, now - *accepted, now);
      return bookings_.end_prefill(request, now);
    case Phase::kDecodeJoin:
      if (bookings_.find(request) != nullptr) durations_.join(request, now);
      return bookings_.join_decode(request, now);
    case Phase::kDecodeEnd:
      durations_.end(request, now);
      forget_promises(request);
      return bookings_.release(request, now);
    case Phase::kAbort:
      durations_.drop(request);
      forget_promises(request);
      return bookings_.release(request, now);
  }
}

std::optional<Refusal> ConductorCore::before_decode(RequestNumber request, Instant now) {
  const Booking* booking = bookings_.find(request);
  if (config_.admission != AdmissionPolicy::kBaseline || booking == nullptr) return std::nullopt;
  if (only_watches(booking->prefill)) return std::nullopt;
  const InstanceChange* instance = instances_.usable(booking->decode, Role::kDecode);
  if (instance == nullptr) return std::nullopt;  // its loss is reported as such
  DecodeLoad load = bookings_.decode_line(booking->decode).joined();
  load += load_.foreign_decode(booking->decode);
  const DecodeFacts facts{.instance = booking->decode,
                          .requests = load.requests,
                          .kv_tokens = load.kv_tokens,
                          .prompt_tokens = load.prompt_tokens,
                          .sequences_max = instance->sequences_max,
                          .kv_tokens_max = instance->kv_tokens_max};
  const DecodeNeed need{.prompt_tokens = booking->prompt_tokens,
                        .kv_tokens = booking->kv_tokens,
                        .tbt_objective = booking->tbt_objective};
  const DecodeChoice decode = evaluate_decode(0, facts, need, *cost_);
  PlacedDecode placed{
      .objective = need.tbt_objective, .decode = decode, .drain = durations_.until_one_ends(load.requests)};
  const TrunkReservation::Allowance allowance = reservation_.allowance(booking->priority, now);
  placed.share = allowance.share;
  if (allowance.keeps_margin) {
    placed.margin = tbt_margin_.margin({.predicted = decode.tbt, .objective = need.tbt_objective}, now);
  }
  return judge_decode(placed);
}

void ConductorCore::on_prefill_actual(InstanceId instance, const PrefillActual& actual) {
  const auto id = static_cast<std::uint32_t>(instance);
  ++prefills_measured_[instance];
  cost_->observe_prefill(id, cost_->prefill(id, actual.prompt_tokens, actual.reused_tokens), actual.prefill);
}

void ConductorCore::on_cache(std::span<const CacheEvent> events, Instant) {
  for (const CacheEvent& event : events) {
    const auto node = static_cast<std::uint32_t>(event.node);
    switch (event.kind) {
      case CacheEvent::Kind::kStored:
        index_.add(node, event.keys);
        if (event.tier == Tier::kSsd) {
          on_ssd_.add(node, event.keys);
        } else {
          on_ssd_.remove(node, event.keys);
        }
        break;
      case CacheEvent::Kind::kRemoved:
        index_.remove(node, event.keys);
        on_ssd_.remove(node, event.keys);
        break;
      case CacheEvent::Kind::kCleared:
        index_.clear(node);
        on_ssd_.clear(node);
        break;
    }
  }
}

void ConductorCore::on_stats(const InstanceStats& stats, Instant now) {
  if (!instances_.exists(stats.id)) return;  // a late report of an instance that is gone
  load_.on_stats(stats, now);
  const DecodeLoad& own = bookings_.decode_line(stats.id).all();
  if (stats.tbt <= Nanos{0} || stats.running == 0 || own.requests == 0) return;
  // Contexts are known by their prompts only; the correction absorbs what answers add to them.
  const std::uint64_t context = own.prompt_tokens * std::min(stats.running, own.requests) / own.requests;
  const auto id = static_cast<std::uint32_t>(stats.id);
  cost_->observe_step(id, cost_->tbt(id, stats.running, context), stats.tbt);
}

void ConductorCore::on_instance(const InstanceChange& change, Instant now) {
  instances_.apply(change);
  if (change.kind != InstanceChange::Kind::kDown) return;
  bookings_.release_instance(change.id, now);
  load_.forget(change.id);
}

void ConductorCore::on_tick(Instant now, std::vector<Action>& out) {
  if (config_.elastic) change_roles(now, out);
  if (!config_.replicate) return;
  const std::vector<NodeId> nodes = prefill_nodes(instances_);
  replication_.tick(
      {.index = index_, .cost = *cost_, .bookings = bookings_, .nodes = nodes, .block_tokens = config_.block_tokens},
      now, out);
}

void ConductorCore::change_roles(Instant now, std::vector<Action>& out) {
  const auto change = roles_.tick(pool_sizes(instances_), now);
  if (!change) return;
  const Role taker = change->giver == Role::kPrefill ? Role::kDecode : Role::kPrefill;
  for (const InstanceId instance : least_busy(instances_, load_, change->giver, change->instances, now)) {
    out.push_back({.kind = Action::Kind::kChangeRole, .instance = instance, .role = taker});
  }
}

double ConductorCore::pool_load(Role role, Instant now) const {
  double least = std::numeric_limits<double>::infinity();
  const auto prompt = static_cast<std::uint32_t>(average_prompt_tokens_);
  instances_.for_each_usable(role, [&](const InstanceChange& instance) {
    const auto id = static_cast<std::uint32_t>(instance.id);
    if (role == Role::kPrefill) {
      const Nanos ttft = load_.prefill_queue(instance.id, now) + cost_->prefill(id, prompt, 0);
      least = std::min(least, to_ms(ttft) / to_ms(config_.slo.ttft));
    } else {
      const DecodeLoad load = load_.decode(instance.id);
      const Nanos tbt = cost_->tbt(id, load.requests + 1, load.prompt_tokens + prompt);
      least = std::min(least, to_ms(tbt) / to_ms(config_.slo.tbt));
    }
  });
  return least;
}

}  // namespace

std::unique_ptr<Conductor> Conductor::create(ConductorConfig config, std::unique_ptr<kvcache::CostModel> cost) {
  return create(config, std::move(cost), make_prefill_chooser(config.placement, config.seed));
}

std::unique_ptr<Conductor> Conductor::create(ConductorConfig config, std::unique_ptr<kvcache::CostModel> cost,
                                             std::unique_ptr<PrefillChooser> chooser) {
  return std::make_unique<ConductorCore>(config, std::move(cost), std::move(chooser));
}

}  // namespace mooncake::conductor
