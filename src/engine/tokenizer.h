// Tokenizer: text to tokens and back, and the model's chat format. The gateway owns one without an engine; every engine
// has the same one inside.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace mooncake::engine {

/// Index into the model's vocabulary.
using Token = std::int32_t;

/// One message of a conversation; roles are "system", "user", "assistant".
struct ChatMessage {
  std::string role;
  std::string content;
};

/// Immutable after load; thread-safe.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Tokens of valid UTF-8 `text`. `parse_special`: "<|im_end|>" and its like become control tokens (chat prompts made
  /// by chat_prompt()); otherwise they are plain text (user input of /v1/completions).
  /// @return kInvalidArgument for invalid UTF-8.
  [[nodiscard]] virtual Result<std::vector<Token>> tokenize(std::string_view text, bool parse_special) const = 0;

  /// The bytes of one token: possibly a part of a UTF-8 character, empty for control tokens.
  [[nodiscard]] virtual std::string piece(Token token) const = 0;

  /// True for tokens that end an answer.
  [[nodiscard]] virtual bool is_end(Token token) const = 0;

  /// The conversation as the model was trained to read it, ending where the assistant's answer begins.
  /// @return kInvalidArgument for an unknown role, kUnsupported if the model has no chat format.
  [[nodiscard]] virtual Result<std::string> chat_prompt(std::span<const ChatMessage> messages) const = 0;

  [[nodiscard]] virtual std::uint32_t vocabulary_size() const = 0;
};

}  // namespace mooncake::engine
