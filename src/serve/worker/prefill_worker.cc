#include "serve/worker/prefill_worker.h"

#include <utility>
#include <vector>

#include <fmt/core.h>

#include "base/check.h"
#include "base/log.h"

namespace mooncake::serve {
namespace {

/// Weight of the newest chunk in the running mean: about the last ten count.
constexpr double kPaceWeight = 0.1;

}  // namespace

PrefillWorker::PrefillWorker(const WorkerContext& context)
    : context_(context),
      tokens_(TokenSender::create(context.transfer, context.loop,
                                  {[this](const transfer::PeerName& gateway, const Status& why) {
                                     end_all([&](const PrefillJob& job) { return job.call().gateway == gateway; },
                                             {Code::kCancelled,
                                              fmt::format("gateway {} is lost: {}", gateway, why.to_string())});
                                   },
                                   [this](const RequestId& id) { cancel(id); }})) {}

// The one that asks for memory goes first: the others give theirs back as they go, and it must not be granted to a job
// that would tell a worker which is ending.
PrefillWorker::~PrefillWorker() {
  if (staging_) jobs_.erase(staging_->request);
}

Result<PrefillCall> PrefillWorker::accept(std::string_view payload) const {
  if (draining_) return Status(Code::kUnavailable, "this prefill worker is shutting down");
  MC_ASSIGN_OR_RETURN(PrefillCall call, parse_prefill(payload, context_.limits));
  if (jobs_.size() >= context_.config.requests_max) {
    return Status(Code::kExhausted, fmt::format("{} requests are here already", jobs_.size()));
  }
  if (numbers_.contains(call.id)) {
    return Status(Code::kAlreadyExists, fmt::format("request {} is here already", call.id));
  }
  if (context_.runner.full()) return Status(Code::kExhausted, "the engine is behind with its work");
  const Nanos more = unstaged_work() + predicted(call);
  if (call.expected_ms > 0 && queue_.contradicts(from_ms(call.expected_ms), more, context_.now())) {
    return Status(Code::kExhausted,
                  fmt::format("{:.0f} ms of work are outstanding, with this request {:.0f} were expected",
                              to_ms(queue_.outstanding(context_.now()) + unstaged_work()), call.expected_ms));
  }
  if (unstaged() + queue_.queued() >= conductor::kPrefillQueueMax) {
    return Status(Code::kExhausted, fmt::format("{} requests wait here already", unstaged() + queue_.queued()));
  }
  return call;
}

void PrefillWorker::prefill(transfer::PeerHandle from, std::string_view payload, transfer::Responder responder) {
  auto call = accept(payload);
  if (!call.ok()) {
    context_.metrics.refused.Increment();
    return responder.reply(call.status());
  }
  const conductor::RequestNumber number{next_number_++};
  unstaged_.push(call->tenant, {.request = number, .predicted = predicted(*call)});
  context_.metrics.requests.Increment();
  if (!call->emitted.empty()) context_.metrics.recovered.Increment();
  numbers_.emplace(call->id, number);
  const auto job = std::make_shared<PrefillJob>(context_, *tokens_, *this, number, std::move(call).value(), from,
                                                std::move(responder));
  jobs_.emplace(number, job);
  job->prepare();
  stage_next();
  update_gauges();
}

Nanos PrefillWorker::unstaged_work() const { return unstaged_.sum() + (staging_ ? staging_->predicted : Nanos{0}); }

// Memory may be granted inside stage(), for one after the other: a loop, not a recursion.
void PrefillWorker::stage_next() {
  if (staging_others_) return;
  staging_others_ = true;
  while (!staging_ && (staging_ = unstaged_.pop())) {
    const std::shared_ptr<PrefillJob> job = jobs_.at(staging_->request);  // it may end in there
    job->stage();
  }
  staging_others_ = false;
}

void PrefillWorker::on_staged(conductor::RequestNumber number) {
  CHECK(staging_ && staging_->request == number);
  const conductor::FairLine::Piece piece = *std::exchange(staging_, std::nullopt);
  CHECK(queue_.push(number, piece.predicted, jobs_.at(number)->call().tenant).ok());  // accept() has seen that it fits
  start_next();
  stage_next();
}

Nanos PrefillWorker::predicted(const PrefillCall& call) const {
  if (call.predicted_ms > 0) return from_ms(call.predicted_ms);
  return from_ms(ms_per_token_ * static_cast<double>(call.tokens.size()));
}

void PrefillWorker::start_next() {
  const auto number = queue_.start(context_.now());
  if (number) jobs_.at(*number)->start();
}

void PrefillWorker::cancel(const RequestId& id) {
  const auto known = numbers_.find(id);
  if (known == numbers_.end()) return;
  jobs_.at(known->second)->end({Code::kCancelled, "the gateway cancelled the request"});
}

void PrefillWorker::on_peer_lost(transfer::PeerHandle peer) {
  tokens_->on_peer_lost(peer);
  end_all([&](const PrefillJob& job) { return job.gateway() == peer; },
          {Code::kCancelled, "the gateway that asked is lost"});
}

void PrefillWorker::end_all(const std::function<bool(const PrefillJob&)>& which, const Status& status) {
  std::vector<std::shared_ptr<PrefillJob>> ending;
  for (const auto& [number, job] : jobs_) {
    if (which(*job)) ending.push_back(job);
  }
  for (const auto& job : ending) job->end(status);
}

void PrefillWorker::on_engine_free(conductor::RequestNumber number) {
  queue_.remove(number);
  // Not from here: the caller is in the middle of its own end. The sender lives exactly as long as this worker.
  context_.loop.post([this, alive = std::weak_ptr<TokenSender>(tokens_)] {
    if (!alive.expired()) start_next();
  });
}

void PrefillWorker::on_ended(conductor::RequestNumber number, const Status& status) {
  queue_.remove(number);
  unstaged_.remove(number);
  if (staging_ && staging_->request == number) staging_.reset();
  const auto at = jobs_.find(number);
  if (at == jobs_.end()) return;
  if (status.ok()) {
    context_.metrics.completed.Increment();
  } else if (status.code() == Code::kCancelled) {
    context_.metrics.cancelled.Increment();
  } else {
    context_.metrics.failed.Increment();
    log_warn("request {} failed: {}", at->second->call().id, status.to_string());
  }
  numbers_.erase(at->second->call().id);
  jobs_.erase(at);
  stage_next();
  update_gauges();
}

void PrefillWorker::update_gauges() const {
  const std::uint32_t queued = queue_.queued() + unstaged();
  context_.metrics.queued.Set(queued);
  context_.metrics.running.Set(static_cast<double>(jobs_.size()) - queued);
  context_.metrics.arena_bytes_used.Set(static_cast<double>(context_.arena->bytes_used()));
}

void PrefillWorker::on_chunk(std::uint32_t tokens, Nanos took) {
  context_.metrics.tokens_computed.Increment(tokens);
  context_.metrics.step_ms.Observe(to_ms(took));
  const double pace = to_ms(took) / tokens;
  ms_per_token_ = ms_per_token_ == 0 ? pace : ms_per_token_ + kPaceWeight * (pace - ms_per_token_);
}

WorkerStats PrefillWorker::stats() const {
  const EngineFacts& facts = context_.runner.facts();
  return {.role = "prefill",
          .queued = queue_.queued() + unstaged(),
          .running = queue_.running(),
          .outstanding_ms = to_ms(queue_.outstanding(context_.now()) + unstaged_work()),
          .kv_tokens_used = 0,
          .kv_tokens_max = facts.capacity.tokens_max,
          .tbt_ms = 0,
          .sequences_max = facts.capacity.sequences_max,
          .model = context_.limits.model,
          .draining = draining_,
          .threads = context_.config.engine.threads};
}

}  // namespace mooncake::serve
