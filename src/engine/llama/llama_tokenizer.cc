#include "engine/llama/llama_tokenizer.h"

#include <fmt/core.h>
#include <llama.h>

#include <limits>

#include "base/utf8.h"
#include "engine/chat_roles.h"
#include "engine/llama/chat_template.h"

namespace mooncake::engine::llama {

LlamaTokenizer::LlamaTokenizer(ModelPointer model)
    : model_(std::move(model)), vocabulary_(llama_model_get_vocab(model_.get())) {
  if (const char* const found = llama_model_chat_template(model_.get(), nullptr)) template_ = found;
  default_system_ = default_system_message(template_);
}

Result<std::vector<Token>> LlamaTokenizer::tokenize(std::string_view text, bool parse_special) const {
  if (const auto at = find_invalid_utf8(text)) {
    return Status(Code::kInvalidArgument, fmt::format("the text is not UTF-8 from byte {} on", *at));
  }
  // llama.cpp counts in 32 bits. A token is a byte at least; one or two special ones may be added.
  if (text.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()) - 8) {
    return Status(Code::kOutOfRange, "the text is longer than 2 GiB");
  }
  const auto length = static_cast<std::int32_t>(text.size());
  std::vector<Token> tokens(text.size() + 8);
  const std::int32_t count = llama_tokenize(vocabulary_, text.data(), length, tokens.data(),
                                            static_cast<std::int32_t>(tokens.size()), true, parse_special);
  if (count < 0) return Status(Code::kInternal, "llama.cpp made more tokens than bytes");
  tokens.resize(static_cast<std::size_t>(count));
  return tokens;
}

std::string LlamaTokenizer::piece(Token token) const {
  if (token < 0 || static_cast<std::uint32_t>(token) >= vocabulary_size()) return {};
  std::string bytes(32, '\0');
  std::int32_t count = llama_token_to_piece(vocabulary_, token, bytes.data(), 32, 0, false);
  if (count < 0) {  // longer: the length needed, negated
    bytes.resize(static_cast<std::size_t>(-count));
    count = llama_token_to_piece(vocabulary_, token, bytes.data(), -count, 0, false);
  }
  bytes.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return bytes;
}

bool LlamaTokenizer::is_end(Token token) const {
  return token >= 0 && static_cast<std::uint32_t>(token) < vocabulary_size() && llama_vocab_is_eog(vocabulary_, token);
}

Result<std::string> LlamaTokenizer::chat_prompt(std::span<const ChatMessage> messages) const {
  MC_RETURN_IF_ERROR(check_roles(messages));
  for (const ChatMessage& message : messages) {
    // llama.cpp takes C strings: the rest of the message would be lost.
    if (message.content.find('\0') != std::string::npos) {
      return Status(Code::kInvalidArgument, "a message holds a NUL character");
    }
  }
  if (template_.empty()) {
    return Status(Code::kUnsupported, "this model has no chat format; use /v1/completions");
  }
  std::vector<llama_chat_message> chat;
  std::size_t bytes = template_.size();
  if (default_system_.has_value() && messages.front().role != "system") {
    chat.push_back({"system", default_system_->c_str()});
  }
  for (const ChatMessage& message : messages) {
    chat.push_back({message.role.c_str(), message.content.c_str()});
    bytes += message.content.size() + 64;  // a format's words around a message; grows below if that is too little
  }
  std::string prompt(bytes, '\0');
  while (true) {
    const std::int32_t count = llama_chat_apply_template(template_.c_str(), chat.data(), chat.size(), true,
                                                         prompt.data(), static_cast<std::int32_t>(prompt.size()));
    if (count < 0) return Status(Code::kUnsupported, "llama.cpp does not know this model's chat format");
    const bool fits = static_cast<std::size_t>(count) <= prompt.size();
    prompt.resize(static_cast<std::size_t>(count));
    if (fits) return prompt;
  }
}

std::uint32_t LlamaTokenizer::vocabulary_size() const {
  return static_cast<std::uint32_t>(llama_vocab_n_tokens(vocabulary_));
}

}  // namespace mooncake::engine::llama
