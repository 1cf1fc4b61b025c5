#include "serve/worker/decode_worker.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "base/log.h"

namespace mooncake::serve {

DecodeWorker::DecodeWorker(const WorkerContext& context, std::shared_ptr<Arena> publish_arena)
    : context_(context),
      tokens_(TokenSender::create(context.transfer, context.loop,
                                  {[this](const transfer::PeerName& gateway, const Status& why) {
                                     forget_all([&](const Request& request) { return request.gateway == gateway; },
                                                {Code::kCancelled,
                                                 fmt::format("gateway {} is lost: {}", gateway, why.to_string())});
                                   },
                                   [this](const RequestId& id) { cancel(id); }})),
      schedule_({.sequences_max = context.runner.facts().capacity.sequences_max,
                 .kv_tokens_max = context.runner.facts().capacity.tokens_max,
                 .landings_max = context.config.requests_max,
                 .landing_bytes_max = context.arena->bytes_max()}),
      batch_(DecodeBatch::create(
          context, *tokens_, std::move(publish_arena),
          {[this](conductor::RequestNumber number) {
             schedule_.finish_landing(number);
             advance();
           },
           [this](conductor::RequestNumber number, const Status& status) { forget(number, status); }})) {}

DecodeWorker::~DecodeWorker() {
  for (const auto& [number, request] : requests_) context_.loop.cancel(request.waiting_timer);
}

Result<ReserveCall> DecodeWorker::accept(std::string_view payload) const {
  if (draining_) return Status(Code::kUnavailable, "this decode worker is shutting down");
  MC_ASSIGN_OR_RETURN(ReserveCall call, parse_reserve(payload, context_.limits));
  if (requests_.size() >= context_.config.requests_max) {
    return Status(Code::kExhausted, fmt::format("{} requests are here already", requests_.size()));
  }
  if (context_.runner.full()) return Status(Code::kExhausted, "the engine is behind with its work");
  if (numbers_.contains(call.id)) {
    return Status(Code::kAlreadyExists, fmt::format("request {} is here already", call.id));
  }
  return call;
}

void DecodeWorker::reserve(transfer::PeerHandle from, std::string_view payload, transfer::Responder responder) {
  auto call = accept(payload);
  if (!call.ok()) {
    context_.metrics.refused.Increment();
    return responder.reply(call.status());
  }
  const conductor::RequestNumber number{next_number_++};
  const auto landing = std::make_shared<Landing>(
      context_, number, *call, from,
      Landing::Callbacks{[this, number](LandedRequest landed) { on_ready(number, std::move(landed)); },
                         [this, number](const Status& status) { on_landing_failed(number, status); }});
  const Status booked = schedule_.reserve(number, landing->bytes(), call->prompt_tokens + call->tokens_max);
  if (!booked.ok()) {
    context_.metrics.refused.Increment();
    return responder.reply(booked);
  }
  context_.metrics.requests.Increment();
  if (call->emitted_tokens > 0) context_.metrics.recovered.Increment();
  landing->set_responder(std::move(responder));
  numbers_.emplace(call->id, number);
  requests_.emplace(number, Request{.id = call->id, .gateway = {}, .landing = landing, .waiting = std::nullopt});
  advance();
}

void DecodeWorker::join(transfer::PeerHandle from, std::string_view payload, transfer::Responder responder) {
  auto call = parse_join(payload, context_.limits);
  if (!call.ok()) return responder.reply(call.status());
  const auto known = numbers_.find(call->id);
  const auto request = known == numbers_.end() ? requests_.end() : requests_.find(known->second);
  if (request == requests_.end() || !request->second.landing || request->second.landing->prefill() != from) {
    return responder.reply(
        Status(Code::kNotFound, fmt::format("request {} has no reservation of yours here", call->id)));
  }
  request->second.gateway = call->gateway;
  tokens_->watch(call->gateway);
  request->second.landing->join(std::move(call).value(), std::move(responder));
}

void DecodeWorker::on_ready(conductor::RequestNumber number, LandedRequest landed) {
  const auto at = requests_.find(number);
  if (at == requests_.end()) return;
  Request& request = at->second;
  request.landing.reset();
  if (const Status queued = schedule_.landed(number); !queued.ok()) {
    push_error(request, static_cast<std::uint32_t>(landed.answer.size()), queued);
    return forget(number, queued);
  }
  const auto answered = static_cast<std::uint32_t>(landed.answer.size());
  request.waiting_timer = context_.loop.post_at(landed.deadline, [this, number, answered] {
    const Status late(Code::kDeadlineExceeded, "the request's deadline passed while it waited for room in the batch");
    push_error(requests_.at(number), answered, late);
    forget(number, late);
  });
  request.waiting = std::move(landed);
  advance();
}

void DecodeWorker::on_landing_failed(conductor::RequestNumber number, const Status& status) {
  const auto at = requests_.find(number);
  if (at == requests_.end()) return;
  // Before the join is acknowledged the prefill worker tells the gateway; after it nobody else does.
  if (at->second.landing->acknowledged()) push_error(at->second, at->second.landing->answered(), status);
  forget(number, status);
}

/// Lets in whatever the schedule lets in now.
void DecodeWorker::advance() {
  if (advancing_) return;
  advancing_ = true;
  while (const auto number = schedule_.next_to_join()) {
    Request& request = requests_.at(*number);
    context_.loop.cancel(std::exchange(request.waiting_timer, TimerId{0}));
    LandedRequest landed = std::move(*request.waiting);
    request.waiting.reset();
    batch_->add(std::move(landed));
  }
  while (const auto number = schedule_.next_to_land()) requests_.at(*number).landing->open();
  advancing_ = false;
  update_gauges();
}

void DecodeWorker::forget(conductor::RequestNumber number, const Status& status) {
  const auto at = requests_.find(number);
  if (at == requests_.end()) return;
  context_.loop.cancel(at->second.waiting_timer);
  if (at->second.landing) at->second.landing->end(status);
  batch_->remove(number);
  if (status.ok()) {
    context_.metrics.completed.Increment();
  } else {
    (status.code() == Code::kCancelled ? context_.metrics.cancelled : context_.metrics.failed).Increment();
  }
  numbers_.erase(at->second.id);
  requests_.erase(at);
  schedule_.release(number);
  advance();
}

void DecodeWorker::forget_all(const std::function<bool(const Request&)>& which, const Status& status) {
  std::vector<conductor::RequestNumber> numbers;
  for (const auto& [number, request] : requests_) {
    if (which(request)) numbers.push_back(number);
  }
  for (const conductor::RequestNumber number : numbers) forget(number, status);
}

void DecodeWorker::cancel(const RequestId& id) {
  const auto known = numbers_.find(id);
  if (known != numbers_.end()) forget(known->second, {Code::kCancelled, "the gateway cancelled the request"});
}

void DecodeWorker::on_peer_lost(transfer::PeerHandle peer) {
  tokens_->on_peer_lost(peer);
  forget_all(
      [&](const Request& request) {
        return request.landing && !request.landing->joining() && request.landing->prefill() == peer;
      },
      {Code::kPeerLost, "the prefill worker that reserved is lost"});
}

void DecodeWorker::push_error(const Request& request, std::uint32_t index, const Status& status) {
  tokens_->push(request.gateway, {.id = request.id,
                                  .index = index,
                                  .token = 0,
                                  .finish = FinishReason::kError,
                                  .error = status,
                                  .cached_tokens = 0});
}

void DecodeWorker::update_gauges() const {
  context_.metrics.queued.Set(schedule_.queued());
  context_.metrics.running.Set(schedule_.running());
  context_.metrics.arena_bytes_used.Set(static_cast<double>(context_.arena->bytes_used()));
}

WorkerStats DecodeWorker::stats() const {
  const EngineFacts& facts = context_.runner.facts();
  return {.role = "decode",
          .queued = schedule_.queued(),
          .running = schedule_.running(),
          .outstanding_ms = 0,
          .kv_tokens_used = schedule_.kv_tokens_used(),
          .kv_tokens_max = facts.capacity.tokens_max,
          .tbt_ms = batch_->step_ms(),
          .sequences_max = facts.capacity.sequences_max,
          .model = context_.limits.model,
          .draining = draining_,
          .threads = context_.config.engine.threads};
}

}  // namespace mooncake::serve
