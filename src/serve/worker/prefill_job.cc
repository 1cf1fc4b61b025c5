#include "serve/worker/prefill_job.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "base/log.h"
#include "kvcache/kv_checksum.h"
#include "serve/worker/replicate_blocks.h"

namespace mooncake::serve {

PrefillJob::PrefillJob(const WorkerContext& context, TokenSender& tokens, Owner& owner, conductor::RequestNumber number,
                       PrefillCall call, transfer::PeerHandle gateway, transfer::Responder responder)
    : context_(context),
      tokens_(tokens),
      owner_(owner),
      number_(number),
      call_(std::move(call)),
      gateway_(gateway),
      responder_(std::move(responder)),
      prompt_tokens_(static_cast<std::uint32_t>(call_.tokens.size())),
      deadline_(context.now() + std::min<Nanos>(Millis(call_.deadline_ms), context.config.request_time_max)),
      needs_decode_(call_.answer.tokens_max > 1),
      arrived_(context.now()) {}

PrefillJob::~PrefillJob() {
  context_.loop.cancel(deadline_timer_);
  context_.arena->cancel(ticket_);
  if (run_) run_->abandon();
}

void PrefillJob::prepare() {
  deadline_timer_ = context_.loop.post_at(deadline_, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->end({Code::kDeadlineExceeded, "the request's deadline passed in prefill"});
  });
  keys_ = kvcache::block_keys(context_.scope(call_.cache_salt), call_.tokens, context_.block_tokens());
  publication_ = Publication::create(context_, static_cast<std::uint32_t>(keys_.size()), [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->end_when_done();
  });
}

void PrefillJob::stage() {
  const std::uint64_t bytes = context_.blocks_of(prompt_tokens_) * context_.block_bytes();
  ticket_ = context_.arena->acquire(bytes, deadline_, [weak = weak_from_this()](Result<Arena::LeasePointer> lease) {
    if (const auto self = weak.lock()) self->on_staged(std::move(lease));
  });
}

void PrefillJob::on_staged(Result<Arena::LeasePointer> lease) {
  if (phase_ == Phase::kEnded) return;
  ticket_ = 0;
  if (!lease.ok()) return end(lease.status());
  lease_ = std::move(lease).value();
  owner_.on_staged(number_);
  std::vector<store::ObjectKey> wanted = keys_;
  if (call_.reuse_blocks_max) wanted.resize(std::min<std::size_t>(wanted.size(), *call_.reuse_blocks_max));
  fetch_prefix(context_, std::move(wanted), lease_, 0, deadline_, [weak = weak_from_this()](FetchedPrefix prefix) {
    if (const auto self = weak.lock()) self->on_fetched(std::move(prefix));
  });
}

void PrefillJob::on_fetched(FetchedPrefix prefix) {
  if (phase_ != Phase::kPreparing) return;
  phase_ = Phase::kReady;
  fetched_ = std::move(prefix);
  for (const FetchedBlock& block : fetched_) block_crc32c_.push_back(block.crc32c);
  begin_when_ready();
}

void PrefillJob::start() {
  if (phase_ == Phase::kEnded) return;
  holds_engine_ = true;
  turn_ = context_.now();
  begin_when_ready();
}

void PrefillJob::begin_when_ready() {
  if (phase_ != Phase::kReady || !holds_engine_) return;
  phase_ = Phase::kComputing;
  begun_ = context_.now();
  report_.queue_ms = to_ms(turn_ - arrived_);
  report_.fetch_ms = to_ms(begun_ - turn_);
  context_.metrics.queue_ms.Observe(report_.queue_ms);
  context_.metrics.fetch_ms.Observe(report_.fetch_ms);
  run_ = std::make_shared<PrefillRun>(call_.tokens, call_.answer, lease_->bytes(), context_.runner.facts().layout);
  if (needs_decode_) reserve();
  plan(static_cast<std::uint32_t>(fetched_.size()) * context_.block_tokens());
  begin_run();
}

void PrefillJob::reserve() {
  handoff_ = Handoff::create(context_, call_.decode, lease_, deadline_,
                             {[weak = weak_from_this()] {
                                if (const auto self = weak.lock()) {
                                  self->joined_ = true;
                                  self->end_when_done();
                                }
                              },
                              [weak = weak_from_this()](const Status& status) {
                                if (const auto self = weak.lock()) self->end(status);
                              }});
  handoff_->reserve({.id = call_.id,
                     .prompt_tokens = prompt_tokens_,
                     .tokens_max = call_.answer.tokens_max,
                     .deadline_ms = remaining_ms(deadline_, context_.now()),
                     .emitted_tokens = static_cast<std::uint32_t>(call_.emitted.size()),
                     .model = context_.limits.model});
}

void PrefillJob::plan(std::uint32_t cached_tokens) {
  plan_ = kvcache::plan_chunks(prompt_tokens_, cached_tokens,
                               kvcache::chunk_tokens_for(context_.runner.facts().chunk_tokens_max),
                               context_.block_tokens());
  next_chunk_ = 0;
  block_crc32c_.resize(plan_.start / context_.block_tokens());
}

void PrefillJob::begin_run() {
  auto outcome = std::make_shared<Status>();
  context_.runner.run([run = run_, outcome, import_tokens = plan_.import_tokens, start = plan_.start](
                          engine::Engine& engine) { *outcome = run->begin(engine, import_tokens, start); },
                      [weak = weak_from_this(), outcome, lease = lease_] {
                        if (const auto self = weak.lock()) self->on_begun(*outcome);
                      });
}

void PrefillJob::on_begun(const Status& status) {
  if (phase_ != Phase::kComputing) return;
  if (status.code() == Code::kCorrupt && plan_.import_tokens > 0) {
    log_warn("request {}: the engine refused {} cached tokens, computing them: {}", call_.id, plan_.import_tokens,
             status.to_string());
    context_.metrics.blocks_corrupt.Increment();
    fetched_.clear();
    plan(0);
    return begin_run();
  }
  if (!status.ok()) return end(status);
  report_.cached_tokens = plan_.start;
  context_.metrics.tokens_reused.Increment(plan_.start);
  for (std::uint32_t i = 0; i < fetched_.size(); ++i) publication_->mark_stored(i);
  if (handoff_) handoff_->offer(0, plan_.start / context_.block_tokens());
  compute_next();
}

void PrefillJob::compute_next() {
  auto result = std::make_shared<ChunkResult>();
  const std::uint32_t tokens = plan_.chunks.at(next_chunk_++);
  context_.runner.run([run = run_, result, tokens](engine::Engine& engine) { *result = run->compute(engine, tokens); },
                      [weak = weak_from_this(), result, tokens, lease = lease_] {
                        if (const auto self = weak.lock()) self->on_computed(tokens, *result);
                      });
}

void PrefillJob::on_computed(std::uint32_t tokens, const ChunkResult& result) {
  if (phase_ != Phase::kComputing) return;
  if (!result.status.ok()) return end(result.status.annotate("prefill"));
  owner_.on_chunk(tokens, result.took);
  if (!result.first_token) compute_next();  // first, so that the engine computes while the blocks travel
  if (handoff_) handoff_->offer(result.first_block, static_cast<std::uint32_t>(result.block_crc32c.size()));
  publish_blocks(result);
  if (result.first_token) on_first_token(*result.first_token);
}

void PrefillJob::publish_blocks(const ChunkResult& result) {
  block_crc32c_.insert(block_crc32c_.end(), result.block_crc32c.begin(), result.block_crc32c.end());
  const auto first = std::max(result.first_block, static_cast<std::uint32_t>(fetched_.size()));
  const auto end = std::min(static_cast<std::uint32_t>(block_crc32c_.size()), static_cast<std::uint32_t>(keys_.size()));
  if (first >= end) return;
  publication_->put(first, {keys_.begin() + first, keys_.begin() + end},
                    {block_crc32c_.begin() + first, block_crc32c_.begin() + end}, lease_);
}

void PrefillJob::on_first_token(engine::Token token) {
  phase_ = Phase::kHandingOver;
  computed_ = context_.now();
  report_.prefill_ms = to_ms(computed_ - begun_);
  if (!call_.emitted.empty()) {
    // The client has the first token already; what comes now must agree with it.
    if (token != call_.emitted.front()) {
      log_warn("request {} begins with token {}, the client has {}", call_.id, token, call_.emitted.front());
    }
    token = call_.emitted.front();
  }
  const bool ends = call_.emitted.empty() && !call_.answer.ignore_end && context_.runner.tokenizer().is_end(token);
  const FinishReason finish = ends ? FinishReason::kStop : needs_decode_ ? FinishReason::kNone : FinishReason::kLength;
  tokens_.push(call_.gateway, {.id = call_.id,
                               .index = 0,
                               .token = token,
                               .finish = finish,
                               .error = {},
                               .cached_tokens = report_.cached_tokens});
  if (finish != FinishReason::kNone) {
    needs_decode_ = false;
    handoff_.reset();  // the decode worker gives its landing area back
  } else {
    hand_over(token);
  }
  keep_fetched_blocks(context_, keys_, fetched_, lease_);  // the engine's work on the answer is done
  release_engine();
  end_when_done();
}

void PrefillJob::hand_over(engine::Token first_token) {
  handoff_->join({.id = call_.id,
                  .tokens = call_.tokens,
                  .answer = call_.answer,
                  .gateway = call_.gateway,
                  .first_token = first_token,
                  .emitted = call_.emitted,
                  .block_crc32c = block_crc32c_,
                  .deadline_ms = remaining_ms(deadline_, context_.now()),
                  .cache_salt = call_.cache_salt});
}

void PrefillJob::release_engine() {
  if (!holds_engine_) return;
  holds_engine_ = false;
  if (run_) {
    // The run and its memory stay until the engine has let go of them; the next prompt's work queues behind.
    context_.runner.run([run = run_](engine::Engine& engine) { run->finish(engine); }, [lease = lease_] {});
    run_.reset();
  }
  owner_.on_engine_free(number_);
}

void PrefillJob::end_when_done() {
  if (phase_ != Phase::kHandingOver || (needs_decode_ && !joined_) || !publication_->idle()) return;
  if (joined_) {
    report_.transfer_ms = to_ms(context_.now() - computed_);
    context_.metrics.transfer_ms.Observe(report_.transfer_ms);
    context_.metrics.kv_bytes_sent.Increment(static_cast<double>(handoff_->bytes_written()));
  }
  report_.published_blocks = publication_->leading_stored();
  report_.kv_checksum = kvcache::kv_checksum(block_crc32c_);
  report_.node = context_.config.attached_node;
  phase_ = Phase::kEnded;
  responder_->reply(encode(report_));
  owner_.on_ended(number_, Status::ok_status());
}

void PrefillJob::end(const Status& status) {
  if (phase_ == Phase::kEnded) return;
  const auto self = shared_from_this();  // the owner drops the job in on_ended()
  const bool computing = phase_ == Phase::kComputing;
  phase_ = Phase::kEnded;
  context_.loop.cancel(deadline_timer_);
  context_.arena->cancel(ticket_);
  handoff_.reset();
  if (run_) run_->abandon();
  if (computing) context_.runner.interrupt();
  responder_->reply(status);
  release_engine();
  owner_.on_ended(number_, status);
}

}  // namespace mooncake::serve
