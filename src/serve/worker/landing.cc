#include "serve/worker/landing.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "base/crc32c.h"
#include "base/log.h"

namespace mooncake::serve {

std::uint32_t generated_blocks(std::uint32_t prompt_tokens, std::uint32_t answer_tokens, std::uint32_t block_tokens) {
  if (answer_tokens == 0) return 0;
  return (prompt_tokens + answer_tokens - 1) / block_tokens - prompt_tokens / block_tokens;
}

Landing::Landing(const WorkerContext& context, conductor::RequestNumber number, ReserveCall call,
                 transfer::PeerHandle prefill, Callbacks callbacks)
    : context_(context),
      number_(number),
      call_(std::move(call)),
      prefill_(prefill),
      callbacks_(std::move(callbacks)),
      deadline_(context.now() + std::min<Nanos>(Millis(call_.deadline_ms), context.config.request_time_max)) {}

Landing::~Landing() {
  context_.loop.cancel(deadline_timer_);
  context_.arena->cancel(ticket_);
  revoke([] {});
}

std::uint64_t Landing::bytes() const {
  const std::uint32_t slots = context_.blocks_of(call_.prompt_tokens) +
                              generated_blocks(call_.prompt_tokens, call_.emitted_tokens, context_.block_tokens());
  return slots * context_.block_bytes();
}

void Landing::open() {
  ticket_ = context_.arena->acquire(bytes(), deadline_, [weak = weak_from_this()](Result<Arena::LeasePointer> lease) {
    if (const auto self = weak.lock()) self->on_memory(std::move(lease));
  });
}

void Landing::set_responder(transfer::Responder responder) {
  responder_ = std::move(responder);
  deadline_timer_ = context_.loop.post_at(deadline_, [weak = weak_from_this()] {
    if (const auto self = weak.lock())
      self->fail({Code::kDeadlineExceeded, "the request's deadline passed before decode"});
  });
}

void Landing::on_memory(Result<Arena::LeasePointer> lease) {
  ticket_ = 0;
  if (over_) return;
  if (!lease.ok()) return fail(lease.status());
  lease_ = std::move(lease).value();
  const std::uint64_t prompt_bytes = context_.blocks_of(call_.prompt_tokens) * context_.block_bytes();
  const auto segment = context_.transfer.register_memory(lease_->bytes().first(prompt_bytes), transfer::Access::kWrite);
  if (!segment.ok()) return fail(segment.status().annotate("landing area"));
  segment_ = *segment;
  std::exchange(responder_, std::nullopt)->reply(encode(ReserveAnswer{*segment_, prompt_bytes}));
}

Status Landing::check_join(const JoinCall& call) const {
  if (over_ || join_ || !segment_) return {Code::kNotFound, "the request has no landing area here that could join"};
  if (call.tokens.size() != call_.prompt_tokens || call.emitted.size() != call_.emitted_tokens ||
      call.answer.tokens_max > call_.tokens_max) {
    return {Code::kInvalidArgument, "prompt, answer so far or answer length differ from what was reserved"};
  }
  return {};
}

void Landing::join(JoinCall call, transfer::Responder responder) {
  if (const Status joinable = check_join(call); !joinable.ok()) return responder.reply(joinable);
  join_ = std::move(call);
  responder_ = std::move(responder);
  revoke([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->verify();
  });
}

void Landing::revoke(absl::AnyInvocable<void()> drained) {
  if (!segment_) return;
  // The lease stays until no write touches it any more.
  const Status revoked = context_.transfer.unregister_memory(
      *std::exchange(segment_, std::nullopt), [lease = lease_, done = std::move(drained)]() mutable { done(); });
  if (!revoked.ok()) log_error("landing area not revoked: {}", revoked.to_string());
}

void Landing::verify() {
  if (over_) return;
  auto corrupt = std::make_shared<std::uint32_t>(0);
  const std::uint64_t block_bytes = context_.block_bytes();
  // On the engine thread: the bytes are read there next, and the loop stays free.
  context_.runner.run(
      [lease = lease_, expected = join_->block_crc32c, block_bytes, corrupt](engine::Engine&) {
        for (std::size_t i = 0; i < expected.size(); ++i) {
          if (crc32c(lease->bytes().subspan(i * block_bytes, block_bytes)) != expected[i]) ++*corrupt;
        }
      },
      [weak = weak_from_this(), corrupt] {
        const auto self = weak.lock();
        if (!self || self->over_) return;
        self->context_.metrics.blocks_corrupt.Increment(*corrupt);
        self->on_verified(*corrupt == 0);
      });
}

void Landing::on_verified(bool intact) {
  if (!intact) return fail({Code::kCorrupt, "KVCache blocks arrived with wrong checksums"});
  context_.metrics.kv_bytes_landed.Increment(static_cast<double>(join_->block_crc32c.size() * context_.block_bytes()));
  acknowledged_ = true;
  std::exchange(responder_, std::nullopt)->reply(std::string());
  fetch_generated();
}

std::vector<engine::Token> Landing::known_answer() const {
  return join_->emitted.empty() ? std::vector{join_->first_token} : join_->emitted;
}

void Landing::fetch_generated() {
  const std::uint32_t first = call_.prompt_tokens / context_.block_tokens();
  const std::uint32_t count = generated_blocks(call_.prompt_tokens, call_.emitted_tokens, context_.block_tokens());
  if (count == 0) return finish({});
  std::vector<engine::Token> tokens = join_->tokens;
  tokens.insert(tokens.end(), join_->emitted.begin(), join_->emitted.end());
  tokens.resize(std::size_t{first + count} * context_.block_tokens());
  auto keys = kvcache::block_keys(context_.scope(join_->cache_salt), tokens, context_.block_tokens());
  keys.erase(keys.begin(), keys.begin() + first);
  fetch_prefix(context_, std::move(keys), lease_, context_.blocks_of(call_.prompt_tokens), deadline_,
               [weak = weak_from_this()](const FetchedPrefix& generated) {
                 if (const auto self = weak.lock(); self && !self->over_) self->finish(generated);
               });
}

void Landing::finish(const FetchedPrefix& generated) {
  over_ = true;
  context_.loop.cancel(deadline_timer_);
  LandedRequest landed{.number = number_,
                       .call = {},
                       .answer = known_answer(),
                       .lease = lease_,
                       .blocks = {},
                       .token_count = call_.prompt_tokens,
                       .deadline = deadline_};
  // With a generated block the prompt's partial block is of no use: the first generated one holds its tokens too.
  const std::uint32_t landed_count =
      generated.empty() ? context_.blocks_of(call_.prompt_tokens) : call_.prompt_tokens / context_.block_tokens();
  for (std::uint32_t i = 0; i < landed_count; ++i) landed.blocks.push_back(context_.block(*lease_, i));
  for (std::uint32_t i = 0; i < generated.size(); ++i) {
    landed.blocks.push_back(context_.block(*lease_, context_.blocks_of(call_.prompt_tokens) + i));
  }
  if (!generated.empty()) {
    context_.metrics.tokens_reused.Increment(static_cast<double>(generated.size() * context_.block_tokens()));
    landed.token_count = static_cast<std::uint32_t>(landed.blocks.size()) * context_.block_tokens();
  }
  landed.call = std::move(*join_);
  callbacks_.ready(std::move(landed));
}

void Landing::end(const Status& status) {
  over_ = true;
  context_.loop.cancel(deadline_timer_);
  if (responder_) std::exchange(responder_, std::nullopt)->reply(status);
}

void Landing::fail(const Status& status) {
  if (over_) return;
  end(status);
  context_.loop.post([weak = weak_from_this(), status] {
    if (const auto self = weak.lock()) self->callbacks_.failed(status);
  });
}

}  // namespace mooncake::serve
