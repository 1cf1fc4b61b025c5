// The tokenizer of the simulated engine: one token a byte of UTF-8, no control tokens, no end token (answers end at the
// limit that the request sets). The chat format is plain text: "role: content" lines, then "assistant: ".
#pragma once

#include "engine/tokenizer.h"

namespace mooncake::engine::simulated {

class SimulatedTokenizer final : public Tokenizer {
 public:
  Result<std::vector<Token>> tokenize(std::string_view text, bool parse_special) const override;
  std::string piece(Token token) const override;
  bool is_end(Token token) const override;
  Result<std::string> chat_prompt(std::span<const ChatMessage> messages) const override;
  std::uint32_t vocabulary_size() const override;
};

}  // namespace mooncake::engine::simulated
