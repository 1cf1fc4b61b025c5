// GenerateRequest: a body of POST /v1/chat/completions or /v1/completions, checked field by field.
//
// What we serve is read; what changes nothing is accepted (frequency_penalty 0, an empty tools list); what would change
// the answer and is not offered is refused with a 400 that names the field, rather than ignored. A field that is null
// counts as absent. Pure, thread-safe.
//
// Source: OpenAI API reference, chat and completions.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conductor/priority.h"
#include "engine/tokenizer.h"
#include "serve/openai/api_error.h"

namespace mooncake::serve::openai {

/// The documented limit of OpenAI is 128; every choice is a sequence of its own in a decode batch, so far fewer here.
inline constexpr std::uint32_t kChoicesMax = 8;
/// OpenAI allows 4; other servers allow more and clients use it. Each is searched for in every piece of text.
inline constexpr std::size_t kStopsMax = 16;
inline constexpr std::size_t kStopBytesMax = 256;
/// Longer conversations than any context here can hold.
inline constexpr std::size_t kMessagesMax = 16384;
/// What /v1/completions answers with when max_tokens is absent, as OpenAI's does.
inline constexpr std::uint32_t kTextTokensDefault = 16;

enum class Api : std::uint8_t { kChat, kText };

struct GenerateRequest {
  Api api = Api::kChat;
  std::string model{};                                        ///< empty: the one that is served
  std::vector<engine::ChatMessage> messages{};                ///< kChat; at least one
  std::string prompt{};                                       ///< kText, unless prompt_tokens is set
  std::optional<std::vector<engine::Token>> prompt_tokens{};  ///< kText: not yet checked against the vocabulary
  std::uint32_t choices = 1;
  bool stream = false;
  bool include_usage = false;  ///< a last chunk with the usage; only with stream
  std::vector<std::string> stops{};
  std::optional<std::uint64_t> seed{};
  float temperature = 1.0F;
  float top_p = 1.0F;
  std::optional<std::uint64_t> tokens_max{};  ///< as asked, at least 1, not yet cut to the context
  bool ignore_end = false;                    ///< "ignore_eos": benchmarks want answers of a known length
  conductor::Priority priority = conductor::Priority::kNormal;  ///< "service_tier"
};

/// Reads and checks `body`. @return the first thing that is wrong with it, or nothing and `request` is complete.
std::optional<ApiError> read_generate_request(Api api, std::string_view body, GenerateRequest& request);

/// Text of a /tokenize body: {"prompt": text} or {"content": text}.
std::optional<ApiError> read_tokenize_request(std::string_view body, std::string& text);

}  // namespace mooncake::serve::openai
