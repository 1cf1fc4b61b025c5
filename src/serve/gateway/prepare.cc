#include "serve/gateway/prepare.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "kvcache/block_key.h"

namespace mooncake::serve {
namespace {

using openai::Api;
using openai::ApiError;
using openai::GenerateRequest;
using Outcome = std::optional<ApiError>;

std::string_view prompt_field(Api api) { return api == Api::kChat ? "messages" : "prompt"; }

// The tokenizer refuses what only the client can have got wrong.
ApiError refused(Api api, const Status& status) {
  return openai::invalid_field(std::string(prompt_field(api)),
                               fmt::format("'{}': {}", prompt_field(api), status.message()));
}

Outcome check_token_ids(const std::vector<engine::Token>& tokens, std::uint32_t vocabulary) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] >= 0 && static_cast<std::uint32_t>(tokens[i]) < vocabulary) continue;
    const std::string name = fmt::format("prompt[{}]", i);
    return openai::invalid_field(name,
                                 fmt::format("'{}' must be a token id below {}, got {}.", name, vocabulary, tokens[i]));
  }
  return {};
}

Outcome tokenize_chat(GenerateRequest& request, const engine::Tokenizer& tokenizer, std::vector<engine::Token>& out) {
  Result<std::string> text = tokenizer.chat_prompt(request.messages);
  if (!text.ok()) return refused(Api::kChat, text.status());
  Result<std::vector<engine::Token>> tokens = tokenizer.tokenize(*text, true);
  if (!tokens.ok()) return refused(Api::kChat, tokens.status());
  out = std::move(*tokens);
  return {};
}

Outcome tokenize_text(GenerateRequest& request, const engine::Tokenizer& tokenizer, std::vector<engine::Token>& out) {
  if (request.prompt_tokens.has_value()) {
    if (auto error = check_token_ids(*request.prompt_tokens, tokenizer.vocabulary_size())) return error;
    out = std::move(*request.prompt_tokens);
    return {};
  }
  Result<std::vector<engine::Token>> tokens = tokenizer.tokenize(request.prompt, false);
  if (!tokens.ok()) return refused(Api::kText, tokens.status());
  out = std::move(*tokens);
  return {};
}

// The prompt and at least one token of the answer must fit; a larger answer than fits is cut, as OpenAI's legacy API
// does.
Outcome fit(Api api, std::uint32_t context, PreparedRequest& prepared) {
  const std::size_t prompt = prepared.prompt.size();
  const std::string field(prompt_field(api));
  if (prompt == 0) return openai::invalid_field(field, fmt::format("'{}' is empty.", field));
  if (prompt >= context) {
    ApiError error =
        openai::invalid_field(field,
                              fmt::format("This model's context is {} tokens, and '{}' has {}: no room for an answer.",
                                          context, field, prompt),
                              "context_length_exceeded");
    error.hint = "Shorten the prompt; POST /tokenize counts its tokens.";
    return error;
  }
  const std::uint64_t room = context - prompt;
  const std::uint64_t wanted =
      prepared.request.tokens_max.value_or(api == Api::kText ? openai::kTextTokensDefault : room);
  prepared.tokens_max = static_cast<std::uint32_t>(std::min(wanted, room));
  return {};
}

}  // namespace

std::optional<ApiError> prepare(Api api, std::string_view body, const engine::ModelFront& front,
                                const ServedTenant& tenant, PreparedRequest& out) {
  GenerateRequest& request = out.request;
  out.tenant = tenant;
  if (auto error = read_generate_request(api, body, request)) return error;
  if (request.model.empty()) request.model = front.model.id;
  if (request.model != front.model.id) return openai::model_not_found(request.model, front.model.id);
  const auto tokenize = api == Api::kChat ? tokenize_chat : tokenize_text;
  if (auto error = tokenize(request, *front.tokenizer, out.prompt)) return error;
  if (auto error = fit(api, front.model.context_tokens, out)) return error;
  out.block_keys = kvcache::block_keys({.model = front.layout.model, .lora = {}, .tenant = tenant.cache_salt},
                                       out.prompt, front.layout.block_tokens);
  request.messages = {};
  request.prompt = {};
  request.prompt_tokens.reset();
  return {};
}

}  // namespace mooncake::serve
