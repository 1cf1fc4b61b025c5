// Answers as OpenAI clients read them: one JSON object, or server-sent events. Pure, thread-safe.
//
// A stream is, for each choice: role (chat only), content..., finish; then the usage if it was asked for; then [DONE].
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "serve/openai/api_error.h"
#include "serve/openai/request.h"

namespace mooncake::serve::openai {

/// What every chunk of one answer repeats.
struct ResponseHead {
  Api api = Api::kChat;
  std::string id;  ///< "chatcmpl-..." or "cmpl-..."
  std::string model;
  std::int64_t created_s = 0;  ///< Unix time
  bool include_usage = false;  ///< chunks then carry "usage": null, as OpenAI's do
};

struct Usage {
  std::uint64_t prompt_tokens = 0;
  std::uint64_t answer_tokens = 0;
  std::uint64_t cached_tokens = 0;  ///< of the prompt's
};

struct ChoiceResult {
  std::uint32_t index = 0;
  std::string text;
  std::string_view finish;  ///< "stop" or "length"
};

/// The answer to a request that did not ask for a stream.
std::string whole_response(const ResponseHead& head, std::span<const ChoiceResult> choices, const Usage& usage);

/// The events of a stream, each complete with "data: " and the empty line.
std::string role_event(const ResponseHead& head, std::uint32_t choice);
std::string content_event(const ResponseHead& head, std::uint32_t choice, std::string_view text);
std::string finish_event(const ResponseHead& head, std::uint32_t choice, std::string_view finish);
std::string usage_event(const ResponseHead& head, const Usage& usage);
std::string error_event(const ApiError& error);
std::string done_event();

/// GET /v1/models and GET /v1/models/{id}.
std::string model_body(std::string_view id, std::int64_t created_s, std::uint32_t context_tokens);
std::string models_body(std::string_view id, std::int64_t created_s, std::uint32_t context_tokens);
/// POST /tokenize.
std::string tokenize_body(std::span<const engine::Token> tokens, std::uint32_t context_tokens);

}  // namespace mooncake::serve::openai
