#include "serve/worker/decode_sequence.h"

#include <span>
#include <utility>

#include "base/check.h"

namespace mooncake::serve {

DecodeSequence::DecodeSequence(conductor::RequestNumber number, JoinCall call, std::vector<engine::Token> answer,
                               std::uint32_t imported_tokens, std::uint32_t block_tokens)
    : number_(number),
      call_(std::move(call)),
      prompt_tokens_(static_cast<std::uint32_t>(call_.tokens.size())),
      block_tokens_(block_tokens),
      tokens_(std::move(call_.tokens)),
      fed_(imported_tokens) {
  CHECK(!answer.empty());
  tokens_.insert(tokens_.end(), answer.begin(), answer.end());
  tokens_.reserve(tokens_max());
  CHECK(fed_ >= prompt_tokens_ / block_tokens_ * block_tokens_ && fed_ < tokens_.size());
}

std::optional<std::uint32_t> DecodeSequence::block_completed_next() const {
  if ((fed_ + 1) % block_tokens_ != 0) return std::nullopt;
  return fed_ / block_tokens_;
}

kvcache::BlockKey DecodeSequence::block_key(const kvcache::KeyScope& scope, std::uint32_t index) {
  CHECK(index >= keyed_ || index + 1 == keyed_);
  for (; keyed_ <= index; ++keyed_) {
    const std::size_t first = static_cast<std::size_t>(keyed_) * block_tokens_;
    last_key_ = kvcache::next_block_key(scope, last_key_, std::span(tokens_).subspan(first, block_tokens_));
  }
  return last_key_;
}

FinishReason DecodeSequence::append(engine::Token token, bool is_end) {
  tokens_.push_back(token);
  if (is_end && !call_.answer.ignore_end) return FinishReason::kStop;
  return answer_index() >= call_.answer.tokens_max ? FinishReason::kLength : FinishReason::kNone;
}

}  // namespace mooncake::serve
