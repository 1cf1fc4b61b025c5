#include "serve/gateway/dispatcher.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/rng.h"
#include "kvcache/kv_checksum.h"
#include "kvcache/slo.h"
#include "serve/methods.h"

namespace mooncake::serve {
namespace {

using conductor::Phase;
using conductor::Role;
using openai::ApiError;

constexpr std::uint32_t kClientGone = 499;

ApiError no_capacity(const std::string& what) {
  return openai::overloaded("no_capacity", fmt::format("The cluster cannot serve now: {}.", what),
                            "Wait until GET /readyz answers 200.", {});
}

}  // namespace

Dispatcher::Dispatcher(DispatcherConfig config, Parts parts)
    : config_(std::move(config)), parts_(parts), loop_(parts.engine.executor()) {}

Dispatcher::~Dispatcher() {
  const auto requests = std::exchange(requests_, {});
  for (const auto& [id, request] : requests) {
    abandon_all(request, Status(Code::kUnavailable, "The gateway is shutting down."));
  }
}

void Dispatcher::begin(Arrival arrival) {
  const openai::GenerateRequest& asked = arrival.prepared.request;
  openai::ResponseHead head{.api = asked.api,
                            .id = arrival.id,
                            .model = asked.model,
                            .created_s = arrival.created_s,
                            .include_usage = asked.include_usage};
  const auto request = std::make_shared<ActiveRequest>(std::move(arrival), std::move(head), *parts_.front.tokenizer);
  request->record = parts_.log.open(request->id);
  request->record->tenant = request->prepared.tenant.name;
  request->record->prompt_tokens = static_cast<std::uint32_t>(request->prepared.prompt.size());
  request->record->choices = request->prepared.request.choices;
  request->seed = request->prepared.request.seed.value_or(random_seed());
  request->deadline = request->received + config_.request_deadline;
  requests_.emplace(request->id, request);
  const std::weak_ptr<ActiveRequest> weak = request;
  request->deadline_timer = loop_.post_at(request->deadline, [this, weak] {
    if (const Request late = weak.lock()) {
      abandon_all(late, Status(Code::kDeadlineExceeded, "The request was not done within its deadline."));
    }
  });
  request->exchange->on_client_gone([this, weak, &loop = loop_, alive = std::weak_ptr(alive_)] {
    loop.post([this, weak, alive] {
      const Request gone = weak.lock();
      if (!alive.expired() && gone != nullptr) client_gone(gone);
    });
  });
  begin_choice(request, 0);
}

void Dispatcher::begin_choice(const Request& request, std::uint32_t index) {
  request->choices[index].begun = true;
  Effects effects;
  request->choices[index].generation.start(effects);
  run(request, index, std::move(effects));
}

void Dispatcher::begin_other_choices(const Request& request) {
  for (std::uint32_t i = 1; i < request->choices.size() && !request->closed; ++i) {
    if (!request->choices[i].begun) begin_choice(request, i);
  }
}

void Dispatcher::run(const Request& request, std::uint32_t index, Effects effects) {
  Choice& choice = request->choices[index];
  for (std::size_t i = 0; i < effects.size(); ++i) {
    const Effect effect = std::move(effects[i]);
    switch (effect.kind) {
      case Effect::Kind::kDecide:
        if (choice.generation.attempt() > 0) forget_attempt(choice);
        decide_at(request, index, effect.delay);
        break;
      case Effect::Kind::kSubmit:
        submit(request, index);
        break;
      case Effect::Kind::kShow:
        show(request, index, effect.token);
        if (!request->closed && request->answer.stopped(index)) choice.generation.stop(effects);
        break;
      case Effect::Kind::kPhase:
        if (effect.phase == Phase::kDecodeEnd && !choice.gaps.empty()) {
          parts_.conductor.on_tbt_actual(choice.place.number, kvcache::request_tbt(choice.gaps), now());
        }
        parts_.conductor.on_phase(choice.place.number, effect.phase, now());
        break;
      case Effect::Kind::kCancelPrefill:
        cancel(choice, Role::kPrefill);
        break;
      case Effect::Kind::kCancelDecode:
        cancel(choice, Role::kDecode);
        break;
      case Effect::Kind::kEnd:
        end_choice(request, index, effect);
        break;
    }
  }
}

// ---- Placing.

void Dispatcher::decide_at(const Request& request, std::uint32_t index, Nanos delay) {
  if (delay <= Nanos{}) return decide(request, index);
  const std::weak_ptr<ActiveRequest> weak = request;
  request->choices[index].timer = loop_.post_at(now() + delay, [this, weak, index] {
    if (const Request waiting = weak.lock()) decide(waiting, index);
  });
}

void Dispatcher::decide(const Request& request, std::uint32_t index) {
  Choice& choice = request->choices[index];
  const PlaceQuestion question{.prepared = &request->prepared,
                               .place_prefill = request->place_prefill,
                               .choice = index,
                               .attempt = choice.generation.attempt() + 1,
                               .emitted_tokens = static_cast<std::uint32_t>(choice.generation.emitted().size())};
  PlaceOutcome outcome = parts_.placer.place(question, *request->record, now());
  if (auto* nobody = std::get_if<NobodyUp>(&outcome)) {
    if (config_.first_may_wait || question.admitted()) return wait_for_worker(request, index, *nobody);
    return undecided(request, index, no_capacity(nobody->what));
  }
  if (choice.waiting) loop_.cancel(choice.timer);
  choice.waiting = false;
  if (auto* error = std::get_if<ApiError>(&outcome)) return undecided(request, index, std::move(*error));
  choice.place = std::move(std::get<Placed>(outcome));
  Effects effects;
  choice.generation.on_decided(effects);
  run(request, index, std::move(effects));
}

// on_instance_up() decides again; this timer ends the waiting.
void Dispatcher::wait_for_worker(const Request& request, std::uint32_t index, const NobodyUp& why) {
  Choice& choice = request->choices[index];
  if (choice.waiting) return;
  choice.waiting = true;
  const std::weak_ptr<ActiveRequest> weak = request;
  choice.timer = loop_.post_at(now() + config_.capacity_wait, [this, weak, index, what = why.what] {
    const Request waiting = weak.lock();
    if (waiting == nullptr || !waiting->choices[index].waiting) return;
    waiting->choices[index].waiting = false;
    undecided(waiting, index, no_capacity(what));
  });
}

void Dispatcher::on_instance_up() {
  const auto requests = requests_;
  for (const auto& [id, request] : requests) {
    for (std::uint32_t i = 0; i < request->choices.size(); ++i) {
      if (request->choices[i].waiting) decide(request, i);
    }
  }
}

void Dispatcher::undecided(const Request& request, std::uint32_t index, ApiError error) {
  const Status why(Code::kUnavailable, error.message);
  request->refusal = std::move(error);
  Effects effects;
  request->choices[index].generation.on_undecided(why, effects);
  run(request, index, std::move(effects));
}

// ---- Prefill.

void Dispatcher::submit(const Request& request, std::uint32_t index) {
  Choice& choice = request->choices[index];
  const Instant at = now();
  choice.attempt_id = fmt::format("{}.{}.{}", request->id, index, choice.generation.attempt());
  attempts_[choice.attempt_id] = {request, index};
  request->record->attempts = std::max(request->record->attempts, choice.generation.attempt());
  if (!std::exchange(request->first_submitted, true)) {
    parts_.metrics.on_submitted(at - request->received - request->prepare_took);
  }
  const openai::GenerateRequest& asked = request->prepared.request;
  std::string payload = encode_prefill({.id = choice.attempt_id,
                                        .prompt = request->prepared.prompt,
                                        .emitted = choice.generation.emitted(),
                                        .answer = {.temperature = asked.temperature,
                                                   .top_p = asked.top_p,
                                                   .seed = request->seed,
                                                   .choice = index,
                                                   .tokens_max = request->prepared.tokens_max,
                                                   .ignore_end = asked.ignore_end},
                                        .gateway = parts_.engine.name(),
                                        .decode = choice.place.decode_endpoint,
                                        .model = config_.model,
                                        .reuse_blocks_max = choice.place.reuse_blocks_max,
                                        .deadline_ms = remaining_ms(request->deadline, at),
                                        .expected_ms = choice.place.expected_ms,
                                        .predicted_ms = choice.place.predicted_ms,
                                        .tenant = request->prepared.tenant.turn,
                                        .cache_salt = request->prepared.tenant.cache_salt});
  const auto peer = parts_.engine.connect(choice.place.prefill_endpoint);
  if (!peer.ok()) {
    // Never inside submit(): the effects of this attempt are still being carried out.
    return loop_.post([this, id = choice.attempt_id, status = peer.status(), alive = std::weak_ptr(alive_)] {
      if (!alive.expired()) on_prefill_reply(id, Status(Code::kUnavailable, status.message()));
    });
  }
  parts_.engine.call(*peer, kMethodPrefill, std::move(payload), request->deadline,
                     [this, id = choice.attempt_id, alive = std::weak_ptr(alive_)](Result<std::string> reply) {
                       if (!alive.expired()) on_prefill_reply(id, std::move(reply));
                     });
}

void Dispatcher::on_prefill_reply(const std::string& attempt_id, Result<std::string> payload) {
  const auto entry = attempts_.find(attempt_id);
  if (entry == attempts_.end()) return;
  const Request request = entry->second.request.lock();
  const std::uint32_t index = entry->second.choice;
  if (request == nullptr) return;
  Choice& choice = request->choices[index];
  Status status = payload.status();
  if (payload.ok()) {
    const Result<PrefillReport> report = parse_prefill_report(*payload);
    status = report.status();
    if (report.ok()) learn(*request, index, *report);
  }
  if (!status.ok()) {
    log_warn("{} failed on {}: {}", attempt_id, choice.place.prefill_name, status.to_string());
    parts_.metrics.on_retry(code_name(status.code()));
    const bool unreached = status.code() == Code::kUnavailable || status.code() == Code::kPeerLost;
    if (unreached) parts_.instances.check(choice.place.prefill);
  }
  Effects effects;
  choice.generation.on_prefill_reply(status, effects);
  run(request, index, std::move(effects));
  if (status.ok()) reconsider(request, index);
  if (status.ok()) begin_other_choices(request);
}

// The second stage of an admission that has one: until a token has been shown, a request may still be refused.
void Dispatcher::reconsider(const Request& request, std::uint32_t index) {
  Choice& choice = request->choices[index];
  if (request->closed || request->answer.started() || index > 0 || choice.generation.attempt() > 1) return;
  auto refusal = parts_.conductor.before_decode(choice.place.number, now());
  if (!refusal) return;
  request->refusal = refused(*refusal);
  Effects effects;
  choice.generation.abandon(Status(Code::kUnavailable, refusal->reason), effects);
  run(request, index, std::move(effects));
}

// What a finished prefill teaches: where its blocks are now (the next request must find them), and what it took.
void Dispatcher::learn(ActiveRequest& request, std::uint32_t index, const PrefillReport& report) {
  const std::vector<Key128>& keys = request.prepared.block_keys;
  const std::size_t published = std::min<std::size_t>(report.published_blocks, keys.size());
  if (published > 0 && !report.node.empty()) {
    const conductor::CacheEvent stored{.kind = conductor::CacheEvent::Kind::kStored,
                                       .node = parts_.instances.node_id(report.node),
                                       .keys = {keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(published)}};
    parts_.conductor.on_cache({&stored, 1}, now());
  }
  const auto prompt = static_cast<std::uint32_t>(request.prepared.prompt.size());
  parts_.conductor.on_prefill_actual(request.choices[index].place.prefill,
                                     {.prompt_tokens = prompt,
                                      .reused_tokens = std::min(report.cached_tokens, prompt),
                                      .prefill = from_ms(report.prefill_ms)});
  if (index != 0) return;
  RequestRecord& record = *request.record;
  record.published_blocks = report.published_blocks;
  record.queue_ms = report.queue_ms;
  record.fetch_ms = report.fetch_ms;
  record.prefill_ms = report.prefill_ms;
  record.transfer_ms = report.transfer_ms;
  record.kv_checksum = kvcache::show_kv_checksum(report.kv_checksum);
}

// ---- Tokens.

bool Dispatcher::on_token(const std::string& attempt_id, const TokenArrival& arrival, std::uint32_t cached_tokens) {
  const auto entry = attempts_.find(attempt_id);
  if (entry == attempts_.end()) return false;
  const Request request = entry->second.request.lock();
  const std::uint32_t index = entry->second.choice;
  if (request == nullptr) return false;
  Choice& choice = request->choices[index];
  if (arrival.kind == TokenArrival::Kind::kError) {
    log_warn("{} failed on a worker: {}", attempt_id, arrival.error.to_string());
    parts_.metrics.on_retry(code_name(arrival.error.code()));
  } else if (arrival.index == 0 && index == 0 && !request->answer.started()) {
    request->cached_tokens =
        std::min<std::uint32_t>(cached_tokens, static_cast<std::uint32_t>(request->prepared.prompt.size()));
    request->record->cached_tokens = request->cached_tokens;
  }
  const std::uint32_t divergences = choice.generation.divergences();
  Effects effects;
  choice.generation.on_token(arrival, effects);
  if (choice.generation.divergences() != divergences) {
    log_warn("{}: token {} differs from the one shown before", attempt_id, arrival.index);
    parts_.metrics.on_divergence();
  }
  run(request, index, std::move(effects));
  return true;
}

void Dispatcher::show(const Request& request, std::uint32_t index, engine::Token token) {
  if (request->closed) return;
  Choice& choice = request->choices[index];
  start_answer(*request, choice);
  const Instant at = now();
  if (choice.last_token != Instant{}) {
    choice.gaps.push_back(at - choice.last_token);
    parts_.metrics.on_token_gap(choice.gaps.back());
  }
  choice.last_token = at;
  if (!request->answer.show(index, token).ok()) client_gone(request);
}

// The first token of any choice, or the end of an answer without one.
void Dispatcher::start_answer(ActiveRequest& request, const Choice& choice) {
  if (request.answer.started()) return;
  const Nanos ttft = now() - request.received;
  parts_.metrics.on_first_token(ttft, request.prepared.prompt.size(), request.cached_tokens);
  request.record->ttft_ms = to_ms(ttft);
  request.answer.start({{"x-request-id", request.id},
                        {"x-mooncake-prefill", choice.place.prefill_name},
                        {"x-mooncake-decode", choice.place.decode_name},
                        {"x-mooncake-cached-tokens", std::to_string(request.cached_tokens)},
                        {"x-mooncake-ttft-ms-predicted", fmt::format("{:.1f}", to_ms(choice.place.predicted_ttft))}});
}

// ---- Losses and ends.

void Dispatcher::on_instance_lost(const Instance& instance) {
  const auto requests = requests_;
  for (const auto& [id, request] : requests) {
    for (std::uint32_t i = 0; i < request->choices.size(); ++i) {
      Choice& choice = request->choices[i];
      const bool prefill = choice.place.prefill == instance.id && instance.role == Role::kPrefill;
      const bool decode = choice.place.decode == instance.id && instance.role == Role::kDecode;
      if (!choice.generation.running() || (!prefill && !decode)) continue;
      const std::uint32_t attempt = choice.generation.attempt();
      Effects effects;
      choice.generation.on_worker_lost(instance.role, effects);
      if (!choice.generation.running() && choice.generation.attempt() == attempt && !choice.generation.ended()) {
        log_info("{} goes on elsewhere: {} is lost", choice.attempt_id, instance.member.name);
        parts_.metrics.on_retry(code_name(Code::kPeerLost));
      }
      run(request, i, std::move(effects));
    }
  }
}

bool Dispatcher::uses(conductor::InstanceId instance) const {
  return std::ranges::any_of(requests_, [instance](const auto& entry) {
    return std::ranges::any_of(entry.second->choices, [instance](const Choice& choice) {
      return choice.generation.running() && (choice.place.prefill == instance || choice.place.decode == instance);
    });
  });
}

void Dispatcher::cancel(const Choice& choice, Role role) {
  const Instance* instance = parts_.instances.find(role == Role::kPrefill ? choice.place.prefill : choice.place.decode);
  const std::string& endpoint = role == Role::kPrefill ? choice.place.prefill_endpoint : choice.place.decode_endpoint;
  if (choice.attempt_id.empty() || instance == nullptr || instance->member.endpoint != endpoint) return;
  if (instance->state == InstanceState::kDown) return;
  const auto peer = parts_.engine.connect(endpoint);
  if (!peer.ok()) return;
  parts_.engine.call(*peer, kMethodCancel, encode_cancel(choice.attempt_id), now() + kCancelTimeout,
                     [](const Result<std::string>&) {});
}

void Dispatcher::forget_attempt(Choice& choice) {
  attempts_.erase(choice.attempt_id);
  choice.attempt_id.clear();
}

void Dispatcher::end_choice(const Request& request, std::uint32_t index, const Effect& end) {
  Choice& choice = request->choices[index];
  forget_attempt(choice);
  loop_.cancel(choice.timer);
  choice.waiting = false;
  ++request->choices_ended;
  request->record->answer_tokens += choice.generation.emitted().size();
  parts_.metrics.on_answer_tokens(choice.generation.emitted().size());
  if (index == 0) {
    request->record->prefill = choice.place.prefill_name;
    request->record->decode = choice.place.decode_name;
  }
  if (end.end == AnswerEnd::kFailed) {
    if (!request->closed) fail(request, request->refusal.value_or(openai::api_error(end.status)));
    return;
  }
  if (request->closed) return;
  start_answer(*request, choice);
  if (!request->answer.finish(index, end.end).ok()) return client_gone(request);
  if (request->choices_ended < request->choices.size()) return begin_other_choices(request);
  request->answer.end({.prompt_tokens = request->prepared.prompt.size(),
                       .answer_tokens = request->record->answer_tokens,
                       .cached_tokens = request->cached_tokens});
  close(*request, 200, "ok");
}

void Dispatcher::fail(const Request& request, const ApiError& error) {
  const bool rejected = error.http_status == 503 && !request->answer.started();
  if (rejected) parts_.metrics.on_rejection(error.code, now() - request->received);
  request->answer.fail(error);
  request->record->error = error.message;
  close(*request, error.http_status, rejected ? "rejected" : "failed");
  abandon_all(request, Status(Code::kCancelled, "another choice failed"));
}

void Dispatcher::client_gone(const Request& request) {
  if (request->closed) return;
  request->record->error = "the client went away";
  close(*request, kClientGone, "cancelled");
  abandon_all(request, Status(Code::kCancelled, "the client went away"));
}

void Dispatcher::abandon_all(const Request& request, const Status& why) {
  for (std::uint32_t i = 0; i < request->choices.size(); ++i) {
    Effects effects;
    request->choices[i].generation.abandon(why, effects);
    run(request, i, std::move(effects));
  }
}

void Dispatcher::close(ActiveRequest& request, std::uint32_t http_status, std::string outcome) {
  CHECK(!request.closed);
  request.closed = true;
  loop_.cancel(request.deadline_timer);
  request.record->http_status = http_status;
  request.record->outcome = std::move(outcome);
  request.record->total_ms = to_ms(now() - request.received);
  parts_.metrics.on_answer(http_status);
  requests_.erase(request.id);
}

}  // namespace mooncake::serve
