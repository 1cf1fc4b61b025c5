// DecodeSequence: one request in a decode batch: which token to feed next, and what its output means. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "conductor/conductor.h"
#include "engine/engine.h"
#include "kvcache/block_key.h"
#include "serve/worker/protocol.h"

namespace mooncake::serve {

class DecodeSequence {
 public:
  /// `answer`: answer tokens that are known, at least one. `imported_tokens`: leading tokens whose KVCache is imported,
  /// fewer than prompt and answer together.
  DecodeSequence(conductor::RequestNumber number, JoinCall call, std::vector<engine::Token> answer,
                 std::uint32_t imported_tokens, std::uint32_t block_tokens);

  [[nodiscard]] conductor::RequestNumber number() const { return number_; }
  [[nodiscard]] const JoinCall& call() const { return call_; }

  /// Position of the token to feed next, which is the length of the KVCache.
  [[nodiscard]] std::uint32_t position() const { return fed_; }
  /// The token at position().
  [[nodiscard]] const engine::Token& next_token() const { return tokens_.at(fed_); }
  /// Feeding it says what comes after everything that is known; otherwise it replays.
  [[nodiscard]] bool wants_logits() const { return fed_ + 1 == tokens_.size(); }
  /// Index of the answer token that the next logits choose.
  [[nodiscard]] std::uint32_t answer_index() const {
    return static_cast<std::uint32_t>(tokens_.size()) - prompt_tokens_;
  }
  /// Tokens of prompt and longest answer.
  [[nodiscard]] std::uint32_t tokens_max() const { return prompt_tokens_ + call_.answer.tokens_max; }

  /// The block that feeding the next token completes, if that is a block made here.
  [[nodiscard]] std::optional<std::uint32_t> block_completed_next() const;
  /// Key of block `index`, which must be complete or about to be. Blocks are asked for in order.
  kvcache::BlockKey block_key(const kvcache::KeyScope& scope, std::uint32_t index);

  /// The next token was fed.
  void advance() { ++fed_; }
  /// The logits chose `token`. @return how the answer ends with it; `is_end`: it is an end token.
  FinishReason append(engine::Token token, bool is_end);

 private:
  conductor::RequestNumber number_;
  JoinCall call_;  // its tokens are in tokens_
  std::uint32_t prompt_tokens_;
  std::uint32_t block_tokens_;
  std::vector<engine::Token> tokens_;  // prompt and answer so far
  std::uint32_t fed_;
  std::uint32_t keyed_ = 0;  // blocks that last_key_ covers
  kvcache::BlockKey last_key_;
};

}  // namespace mooncake::serve
