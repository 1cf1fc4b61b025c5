#include "serve/worker/decode_batch.h"

#include <utility>

#include "base/log.h"

namespace mooncake::serve {
namespace {

/// Weight of the newest step in the running mean: about the last ten count.
constexpr double kStepWeight = 0.1;

/// On the engine thread: a sequence that holds what landed. Leaves nothing open on failure.
Result<engine::SequenceId> open_and_import(engine::Engine& engine, const LandedRequest& request,
                                           std::uint32_t reserve_tokens) {
  MC_ASSIGN_OR_RETURN(const engine::SequenceId id, engine.open(reserve_tokens));
  const Status imported = engine.import_prefix(id, request.blocks, request.token_count);
  if (imported.ok()) return id;
  static_cast<void>(engine.close(id).ok());
  return imported.annotate("import");
}

}  // namespace

std::shared_ptr<DecodeBatch> DecodeBatch::create(const WorkerContext& context, TokenSender& tokens,
                                                 std::shared_ptr<Arena> publish_arena, Callbacks callbacks) {
  return std::shared_ptr<DecodeBatch>(new DecodeBatch(context, tokens, std::move(publish_arena), std::move(callbacks)));
}

DecodeBatch::DecodeBatch(const WorkerContext& context, TokenSender& tokens, std::shared_ptr<Arena> publish_arena,
                         Callbacks callbacks)
    : context_(context), tokens_(tokens), publish_arena_(std::move(publish_arena)), callbacks_(std::move(callbacks)) {}

DecodeBatch::~DecodeBatch() {
  for (const auto& [number, entry] : sequences_) context_.loop.cancel(entry.deadline_timer);
}

void DecodeBatch::add(LandedRequest request) {
  const conductor::RequestNumber number = request.number;
  auto landed = std::make_shared<LandedRequest>(std::move(request));
  DecodeSequence sequence(number, landed->call, landed->answer, landed->token_count, context_.block_tokens());
  const std::uint32_t reserve_tokens = sequence.tokens_max();
  const TimerId timer = context_.loop.post_at(landed->deadline, [weak = weak_from_this(), number] {
    if (const auto self = weak.lock()) {
      self->fail(number, {Code::kDeadlineExceeded, "the request's deadline passed in decode"});
    }
  });
  sequences_.emplace(number, Entry{std::move(sequence), std::nullopt, timer, context_.now()});
  auto opened = std::make_shared<Result<engine::SequenceId>>(Status(Code::kInternal, "the import did not run"));
  context_.runner.run([landed, opened, reserve_tokens](
                          engine::Engine& engine) { *opened = open_and_import(engine, *landed, reserve_tokens); },
                      [weak = weak_from_this(), landed, opened, number]() mutable {
                        landed.reset();  // the last use of its memory
                        if (const auto self = weak.lock()) self->on_imported(number, *opened);
                      });
}

void DecodeBatch::on_imported(conductor::RequestNumber number, const Result<engine::SequenceId>& opened) {
  callbacks_.imported(number);
  const auto at = sequences_.find(number);
  if (at == sequences_.end()) {
    if (opened.ok()) close(*opened);
    return;
  }
  if (!opened.ok()) {
    if (opened.status().code() == Code::kCorrupt) context_.metrics.blocks_corrupt.Increment();
    return fail(number, opened.status());
  }
  at->second.engine_id = *opened;
  step_when_idle();
}

DecodeStep DecodeBatch::next_step() {
  DecodeStep step;
  for (auto& [number, entry] : sequences_) {
    if (!entry.engine_id) continue;
    const DecodeSequence& sequence = entry.sequence;
    DecodeStep::Item item{.number = number,
                          .sequence = *entry.engine_id,
                          .position = sequence.position(),
                          .token = sequence.next_token(),
                          .want_logits = sequence.wants_logits(),
                          .answer = sequence.call().answer,
                          .answer_index = sequence.answer_index(),
                          .export_block = sequence.block_completed_next()};
    if (item.export_block && context_.store != nullptr) {
      item.export_target = publish_arena_->try_acquire(context_.block_bytes());
      if (!item.export_target) context_.metrics.blocks_unpublished.Increment();
    }
    if (!std::exchange(entry.stepped, true)) {
      context_.metrics.queue_ms.Observe(to_ms(context_.now() - entry.joined));
    }
    step.items.push_back(std::move(item));
  }
  return step;
}

void DecodeBatch::step_when_idle() {
  if (stepping_) return;
  auto step = std::make_shared<DecodeStep>(next_step());
  if (step->items.empty()) return;
  stepping_ = true;
  context_.runner.run([step](engine::Engine& engine) { step->run(engine); },
                      [weak = weak_from_this(), step] {
                        if (const auto self = weak.lock()) self->on_stepped(*step);
                      });
}

void DecodeBatch::on_stepped(DecodeStep& step) {
  stepping_ = false;
  const double ms = to_ms(step.took);
  context_.metrics.step_ms.Observe(ms);
  step_ms_ = step_ms_ == 0 ? ms : step_ms_ + kStepWeight * (ms - step_ms_);
  for (DecodeStep::Item& item : step.items) on_item(item);
  step_when_idle();
}

void DecodeBatch::on_item(DecodeStep::Item& item) {
  const auto at = sequences_.find(item.number);
  if (at == sequences_.end()) return;                  // removed meanwhile
  if (item.status.code() == Code::kCancelled) return;  // an interrupted step: the next one repeats it
  if (!item.status.ok()) return fail(item.number, item.status.annotate("decode"));
  DecodeSequence& sequence = at->second.sequence;
  sequence.advance();
  if (item.export_target) publish(sequence, item);
  if (!item.want_logits) {
    context_.metrics.tokens_replayed.Increment();
    return;
  }
  context_.metrics.tokens_computed.Increment();
  if (emit(sequence, item.chosen) == FinishReason::kNone) return;
  remove(item.number);
  callbacks_.ended(item.number, Status::ok_status());
}

FinishReason DecodeBatch::emit(DecodeSequence& sequence, engine::Token token) {
  const std::uint32_t index = sequence.answer_index();
  const FinishReason finish = sequence.append(token, context_.runner.tokenizer().is_end(token));
  const JoinCall& call = sequence.call();
  tokens_.push(call.gateway,
               {.id = call.id, .index = index, .token = token, .finish = finish, .error = {}, .cached_tokens = 0});
  return finish;
}

void DecodeBatch::publish(DecodeSequence& sequence, DecodeStep::Item& item) {
  if (!item.exported.ok()) {
    context_.metrics.blocks_unpublished.Increment();
    log_warn("block {} of request {} not exported: {}", *item.export_block, sequence.call().id,
             item.exported.to_string());
    return;
  }
  const kvcache::KeyScope scope = context_.scope(sequence.call().cache_salt);
  std::vector<store::PutItem> items{
      {sequence.block_key(scope, *item.export_block), item.export_target->bytes(), item.export_crc32c}};
  // Counters belong to the registry, which outlives every callback; the batch may not.
  context_.store->put(
      std::move(items), context_.now() + kPublishTimeout,
      [published = &context_.metrics.blocks_published, unpublished = &context_.metrics.blocks_unpublished,
       lease = item.export_target](const std::vector<Status>& outcomes) {
        const bool stored = !outcomes.empty() && outcomes.front().ok();
        (stored ? published : unpublished)->Increment();
      });
}

void DecodeBatch::fail(conductor::RequestNumber number, const Status& status) {
  const auto at = sequences_.find(number);
  if (at == sequences_.end()) return;
  const JoinCall& call = at->second.sequence.call();
  log_warn("request {} failed: {}", call.id, status.to_string());
  tokens_.push(call.gateway, {.id = call.id,
                              .index = at->second.sequence.answer_index(),
                              .token = 0,
                              .finish = FinishReason::kError,
                              .error = status,
                              .cached_tokens = 0});
  remove(number);
  callbacks_.ended(number, status);
}

void DecodeBatch::remove(conductor::RequestNumber number) {
  const auto at = sequences_.find(number);
  if (at == sequences_.end()) return;
  context_.loop.cancel(at->second.deadline_timer);
  if (at->second.engine_id) close(*at->second.engine_id);  // behind the step that may use it
  sequences_.erase(at);
}

void DecodeBatch::close(engine::SequenceId id) {
  context_.runner.run([id](engine::Engine& engine) { static_cast<void>(engine.close(id).ok()); }, [] {});
}

}  // namespace mooncake::serve
