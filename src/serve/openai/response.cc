#include "serve/openai/response.h"

#include <nlohmann/json.hpp>

namespace mooncake::serve::openai {
namespace {

using nlohmann::ordered_json;

std::string dumped(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::string event(const ordered_json& value) { return "data: " + dumped(value) + "\n\n"; }

ordered_json usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.answer_tokens},
          {"total_tokens", usage.prompt_tokens + usage.answer_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
}

ordered_json envelope(const ResponseHead& head, std::string_view object) {
  return {{"id", head.id}, {"object", object}, {"created", head.created_s}, {"model", head.model}};
}

ordered_json chunk(const ResponseHead& head, ordered_json choices) {
  ordered_json body = envelope(head, head.api == Api::kChat ? "chat.completion.chunk" : "text_completion");
  body["choices"] = std::move(choices);
  if (head.include_usage) body["usage"] = nullptr;
  return body;
}

ordered_json choice_json(std::uint32_t index, const char* key, ordered_json value, ordered_json finish) {
  ordered_json choice = {{"index", index}};
  choice[key] = std::move(value);
  choice["logprobs"] = nullptr;
  choice["finish_reason"] = std::move(finish);
  return choice;
}

// A chat chunk carries `delta`, a text chunk carries `text`.
std::string choice_event(const ResponseHead& head, std::uint32_t index, ordered_json delta, std::string_view text,
                         ordered_json finish) {
  ordered_json choices = ordered_json::array();
  if (head.api == Api::kChat) {
    choices.push_back(choice_json(index, "delta", std::move(delta), std::move(finish)));
  } else {
    choices.push_back(choice_json(index, "text", text, std::move(finish)));
  }
  return event(chunk(head, std::move(choices)));
}

ordered_json model_json(std::string_view id, std::int64_t created_s, std::uint32_t context_tokens) {
  return {{"id", id},
          {"object", "model"},
          {"created", created_s},
          {"owned_by", "mooncake"},
          {"max_model_len", context_tokens}};
}

}  // namespace

std::string whole_response(const ResponseHead& head, std::span<const ChoiceResult> choices, const Usage& usage) {
  ordered_json body = envelope(head, head.api == Api::kChat ? "chat.completion" : "text_completion");
  body["choices"] = ordered_json::array();
  for (const ChoiceResult& choice : choices) {
    if (head.api == Api::kChat) {
      ordered_json message = {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
      body["choices"].push_back(choice_json(choice.index, "message", std::move(message), choice.finish));
    } else {
      body["choices"].push_back(choice_json(choice.index, "text", choice.text, choice.finish));
    }
  }
  body["usage"] = usage_json(usage);
  return dumped(body);
}

std::string role_event(const ResponseHead& head, std::uint32_t choice) {
  return choice_event(head, choice, {{"role", "assistant"}, {"content", ""}}, "", nullptr);
}

std::string content_event(const ResponseHead& head, std::uint32_t choice, std::string_view text) {
  return choice_event(head, choice, {{"content", text}}, text, nullptr);
}

std::string finish_event(const ResponseHead& head, std::uint32_t choice, std::string_view finish) {
  return choice_event(head, choice, ordered_json::object(), "", finish);
}

std::string usage_event(const ResponseHead& head, const Usage& usage) {
  ordered_json body = chunk(head, ordered_json::array());
  body["usage"] = usage_json(usage);
  return event(body);
}

std::string error_event(const ApiError& error) { return "data: " + error_body(error) + "\n\n"; }

std::string done_event() { return "data: [DONE]\n\n"; }

std::string model_body(std::string_view id, std::int64_t created_s, std::uint32_t context_tokens) {
  return dumped(model_json(id, created_s, context_tokens));
}

std::string models_body(std::string_view id, std::int64_t created_s, std::uint32_t context_tokens) {
  ordered_json body = {{"object", "list"}, {"data", ordered_json::array()}};
  body["data"].push_back(model_json(id, created_s, context_tokens));
  return dumped(body);
}

std::string tokenize_body(std::span<const engine::Token> tokens, std::uint32_t context_tokens) {
  ordered_json body = {{"count", tokens.size()}, {"max_model_len", context_tokens}};
  body["tokens"] = std::vector<engine::Token>(tokens.begin(), tokens.end());
  return dumped(body);
}

}  // namespace mooncake::serve::openai
