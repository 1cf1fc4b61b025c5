// The Conductor around its parts: the board is gathered, placement chooses, admission judges, bookings remember.
// Nothing here reads a clock or draws a number that was not seeded.
#include "conductor/conductor.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "conductor/admission.h"
#include "conductor/board.h"
#include "conductor/bookings.h"
#include "conductor/decode_durations.h"
#include "conductor/explain.h"
#include "conductor/instance_table.h"
#include "conductor/load_estimate.h"
#include "conductor/placement.h"
#include "conductor/ttft_margin.h"
#include "kvcache/prefix_index.h"

namespace mooncake::conductor {
namespace {

// Until a worker that died is started again.
constexpr Nanos kRetryAfterNoInstance = Seconds(1);
// The average prompt follows the last twenty requests or so.
constexpr double kAveragePromptWeight = 0.05;

class ConductorCore final : public Conductor {
 public:
  ConductorCore(ConductorConfig config, std::unique_ptr<kvcache::CostModel> cost)
      : config_(config), cost_(std::move(cost)), load_(bookings_), chooser_(config.placement, config.seed) {
    CHECK(cost_ != nullptr && config_.block_tokens > 0);
  }

  Decision on_request(const RequestView& request, Instant now) override;
  void on_phase(RequestNumber request, Phase phase, Instant now) override;
  void on_prefill_actual(InstanceId instance, const PrefillActual& actual) override;
  void on_cache(std::span<const CacheEvent> events, Instant now) override;
  void on_stats(const InstanceStats& stats, Instant now) override;
  void on_instance(const InstanceChange& change, Instant now) override;
  [[nodiscard]] double pool_load(Role role, Instant now) const override;

 private:
  [[nodiscard]] std::vector<Candidate> candidates(const Board& board, const RequestView& request) const;
  [[nodiscard]] std::optional<Refusal> refuse_unplaced(const Board& board, const RequestView& request) const;
  std::size_t choose_prefill(const Board& board, std::span<const Candidate> prefill, const RequestView& request);
  void place(const Board& board, const RequestView& request, Instant now, Decision& decision);
  void accept(const Board& board, const RequestView& request, const Candidate& prefill, const DecodeFacts& decode,
              Instant now, Decision& decision);

  ConductorConfig config_;
  std::unique_ptr<kvcache::CostModel> cost_;
  InstanceTable instances_;
  kvcache::PrefixIndex index_;
  Bookings bookings_;
  LoadEstimate load_;
  DecodeDurations durations_;
  TtftMargin margin_;
  PrefillChooser chooser_;
  double average_prompt_tokens_ = 0;
};

Decision refuse(Decision decision, Refusal refusal) {
  decision.verdict = Verdict::kReject;
  decision.reason = std::move(refusal.reason);
  decision.retry_after = refusal.retry_after;
  return decision;
}

std::uint64_t kv_tokens_of(const RequestView& request) {
  return std::uint64_t{request.prompt_tokens} + request.answer_tokens_max;
}

Decision ConductorCore::on_request(const RequestView& request, Instant now) {
  bookings_.release(request.number, now);  // it is decided again after a failure
  durations_.drop(request.number);
  margin_.drop(request.number);
  average_prompt_tokens_ += kAveragePromptWeight * (request.prompt_tokens - average_prompt_tokens_);
  const Board board = gather({.instances = instances_,
                              .index = index_,
                              .load = load_,
                              .bookings = bookings_,
                              .block_tokens = config_.block_tokens},
                             request, now);
  Decision decision;
  decision.candidates = candidates(board, request);
  if (auto refusal = refuse_unplaced(board, request)) return refuse(std::move(decision), std::move(*refusal));
  place(board, request, now, decision);
  return decision;
}

// Prefill candidates first, in the order of the board, then decode.
std::vector<Candidate> ConductorCore::candidates(const Board& board, const RequestView& request) const {
  std::vector<Candidate> all;
  all.reserve(board.prefill.size() + board.decode.size());
  for (const PrefillFacts& facts : board.prefill) {
    all.push_back(evaluate_prefill(config_.placement, config_.balancing_threshold, board.prompt, facts, *cost_));
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
  if (board.prefill.empty()) return Refusal{"no prefill instance is up", kRetryAfterNoInstance};
  if (board.decode.empty()) return Refusal{"no decode instance is up", kRetryAfterNoInstance};
  if (request.place_prefill && instances_.usable(*request.place_prefill, Role::kPrefill) == nullptr) {
    return Refusal{"the prefill instance that the client asked for is not up", kRetryAfterNoInstance};
  }
  if (bookings_.size() >= kBookingsMax) {
    return Refusal{"this gateway has " + std::to_string(bookings_.size()) + " requests in flight, its limit",
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
  return chooser_.choose(prefill, outstanding);
}

void ConductorCore::place(const Board& board, const RequestView& request, Instant now, Decision& decision) {
  const auto prefill_candidates = std::span(decision.candidates).first(board.prefill.size());
  const Candidate prefill = prefill_candidates[choose_prefill(board, prefill_candidates, request)];
  const DecodeChoice choice =
      choose_decode(board.decode, request.prompt_tokens, kv_tokens_of(request), request.slo.tbt, *cost_);
  const DecodeFacts& decode = board.decode[choice.index];
  decision.prefill = prefill.instance;
  decision.decode = decode.instance;
  decision.predicted_ttft = prefill.ttft;
  decision.predicted_tbt = choice.tbt;
  decision.reused_blocks = prefill.reused_blocks;
  const Nanos drain = durations_.until_one_ends(decode.requests);
  auto refusal =
      judge(config_.admission, request.slo,
            {.prefill = prefill,
             .decode = choice,
             .decode_drain = drain,
             .ttft_margin = margin_.margin({.predicted = prefill.ttft, .objective = request.slo.ttft}, now)});
  if (refusal) {
    decision = refuse(std::move(decision), std::move(*refusal));
  } else {
    accept(board, request, prefill, decode, now, decision);
  }
}

void ConductorCore::accept(const Board& board, const RequestView& request, const Candidate& prefill,
                           const DecodeFacts& decode, Instant now, Decision& decision) {
  decision.verdict = Verdict::kAccept;
  if (prefill.reused_blocks < board.prompt.best_blocks) decision.reuse_blocks_max = prefill.reused_blocks;
  decision.recompute = decision.reuse_blocks_max == 0;
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
                  .prefill_work = prefill.prefill,
                  .prompt_tokens = request.prompt_tokens,
                  .kv_tokens = kv_tokens_of(request)};
  if (prefill.reused_blocks > prefill.local_prefix_blocks) {
    booking.sender = prefill.fetch_from;
    const std::uint32_t blocks = prefill.reused_blocks - prefill.local_prefix_blocks;
    booking.transfer_work = cost_->transfer(blocks * config_.block_tokens, false);
  }
  bookings_.book(booking, now);
  margin_.expect(request.number, {.predicted = prefill.ttft, .objective = request.slo.ttft}, now);
}

void ConductorCore::on_phase(RequestNumber request, Phase phase, Instant now) {
  switch (phase) {
    case Phase::kPrefillStart:
      return bookings_.start_prefill(request, now);
    case Phase::kPrefillEnd:
      margin_.first_token(request, now);
      return bookings_.end_prefill(request, now);
    case Phase::kDecodeJoin:
      if (bookings_.knows(request)) durations_.join(request, now);
      return;
    case Phase::kDecodeEnd:
      durations_.end(request, now);
      return bookings_.release(request, now);
    case Phase::kAbort:
      durations_.drop(request);
      margin_.drop(request);
      return bookings_.release(request, now);
  }
}

void ConductorCore::on_prefill_actual(InstanceId instance, const PrefillActual& actual) {
  const auto id = static_cast<std::uint32_t>(instance);
  cost_->observe_prefill(id, cost_->prefill(id, actual.prompt_tokens, actual.reused_tokens), actual.prefill);
}

void ConductorCore::on_cache(std::span<const CacheEvent> events, Instant) {
  for (const CacheEvent& event : events) {
    const auto node = static_cast<std::uint32_t>(event.node);
    switch (event.kind) {
      case CacheEvent::Kind::kStored:
        for (const Key128& key : event.keys) index_.add(node, key);
        break;
      case CacheEvent::Kind::kRemoved:
        for (const Key128& key : event.keys) index_.remove(node, key);
        break;
      case CacheEvent::Kind::kCleared:
        index_.clear(node);
        break;
    }
  }
}

void ConductorCore::on_stats(const InstanceStats& stats, Instant now) {
  if (!instances_.exists(stats.id)) return;  // a late report of an instance that is gone
  load_.on_stats(stats, now);
  const DecodeBookings own = bookings_.decode(stats.id);
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

double ConductorCore::pool_load(Role role, Instant now) const {
  double least = std::numeric_limits<double>::infinity();
  const auto prompt = static_cast<std::uint32_t>(average_prompt_tokens_);
  instances_.for_each_usable(role, [&](const InstanceChange& instance) {
    const auto id = static_cast<std::uint32_t>(instance.id);
    if (role == Role::kPrefill) {
      const Nanos ttft = load_.prefill_queue(instance.id, now) + cost_->prefill(id, prompt, 0);
      least = std::min(least, to_ms(ttft) / to_ms(config_.slo.ttft));
    } else {
      const DecodeBookings load = load_.decode(instance.id);
      const Nanos tbt = cost_->tbt(id, load.requests + 1, load.prompt_tokens + prompt);
      least = std::min(least, to_ms(tbt) / to_ms(config_.slo.tbt));
    }
  });
  return least;
}

}  // namespace

std::unique_ptr<Conductor> Conductor::create(ConductorConfig config, std::unique_ptr<kvcache::CostModel> cost) {
  return std::make_unique<ConductorCore>(config, std::move(cost));
}

}  // namespace mooncake::conductor
