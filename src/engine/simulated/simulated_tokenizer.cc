#include "engine/simulated/simulated_tokenizer.h"

#include <fmt/core.h>

#include "base/utf8.h"
#include "engine/chat_roles.h"
#include "engine/simulated/simulated_model.h"

namespace mooncake::engine::simulated {

Result<std::vector<Token>> SimulatedTokenizer::tokenize(std::string_view text, bool) const {
  if (const auto at = find_invalid_utf8(text)) {
    return Status(Code::kInvalidArgument, fmt::format("the text is not UTF-8 from byte {} on", *at));
  }
  std::vector<Token> tokens;
  tokens.reserve(text.size());
  for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
  return tokens;
}

std::string SimulatedTokenizer::piece(Token token) const {
  if (token < 0 || static_cast<std::uint32_t>(token) >= kVocabularySize) return {};
  return std::string(1, static_cast<char>(token));
}

bool SimulatedTokenizer::is_end(Token) const { return false; }

Result<std::string> SimulatedTokenizer::chat_prompt(std::span<const ChatMessage> messages) const {
  MC_RETURN_IF_ERROR(check_roles(messages));
  std::string prompt;
  for (const ChatMessage& message : messages) prompt += message.role + ": " + message.content + "\n";
  return prompt + "assistant: ";
}

std::uint32_t SimulatedTokenizer::vocabulary_size() const { return kVocabularySize; }

}  // namespace mooncake::engine::simulated
