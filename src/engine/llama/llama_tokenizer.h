// The tokenizer and chat format of a GGUF model, by llama.cpp.
#pragma once

#include <optional>
#include <string>

#include "engine/llama/llama_model.h"
#include "engine/tokenizer.h"

struct llama_vocab;

namespace mooncake::engine::llama {

/// Immutable after construction; thread-safe, as llama.cpp's vocabulary is.
class LlamaTokenizer final : public Tokenizer {
 public:
  explicit LlamaTokenizer(ModelPointer model);

  Result<std::vector<Token>> tokenize(std::string_view text, bool parse_special) const override;
  std::string piece(Token token) const override;
  bool is_end(Token token) const override;
  Result<std::string> chat_prompt(std::span<const ChatMessage> messages) const override;
  std::uint32_t vocabulary_size() const override;

 private:
  ModelPointer model_;
  const llama_vocab* vocabulary_;              // of model_
  std::string template_;                       // empty: no chat format
  std::optional<std::string> default_system_;  // the message that the template puts before others
};

}  // namespace mooncake::engine::llama
