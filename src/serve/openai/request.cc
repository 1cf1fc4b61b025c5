#include "serve/openai/request.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>

#include "serve/openai/json_reader.h"

namespace mooncake::serve::openai {
namespace {

using nlohmann::json;
using Outcome = std::optional<ApiError>;

// ---- Readers of one value. Each gets a value that is not null and the name to blame.

Outcome wrong_type(std::string_view name, std::string_view expected, const json& value) {
  return invalid_field(std::string(name), fmt::format("'{}' must be {}, got {}.", name, expected, shown(value)),
                       "invalid_type");
}

Outcome read_bool(const json& value, std::string_view name, bool& out) {
  if (!value.is_boolean()) return wrong_type(name, "true or false", value);
  out = value.get<bool>();
  return {};
}

Outcome read_text(const json& value, std::string_view name, std::string& out) {
  if (!value.is_string()) return wrong_type(name, "a string", value);
  out = value.get<std::string>();
  return {};
}

Outcome read_number(const json& value, std::string_view name, double low, bool low_allowed, double high, float& out) {
  if (!value.is_number()) return wrong_type(name, "a number", value);
  // As it will be used: a top_p of 1e-50 is 0 by then.
  const auto number = static_cast<float>(value.get<double>());
  const bool above = low_allowed ? number >= low : number > low;
  if (!above || !(number <= high)) {
    return invalid_field(std::string(name), fmt::format("'{}' must be {} {} and at most {}, got {}.", name,
                                                        low_allowed ? "at least" : "above", low, high, shown(value)));
  }
  out = number;
  return {};
}

Outcome read_count(const json& value, std::string_view name, std::uint64_t high, std::uint64_t& out) {
  if (!value.is_number_integer()) return wrong_type(name, "an integer", value);
  const bool negative = !value.is_number_unsigned() && value.get<std::int64_t>() < 0;
  const std::uint64_t number = negative ? 0 : value.get<std::uint64_t>();
  if (number < 1 || number > high) {
    const std::string range =
        high == std::numeric_limits<std::uint64_t>::max() ? "at least 1" : fmt::format("from 1 to {}", high);
    return invalid_field(std::string(name), fmt::format("'{}' must be {}, got {}.", name, range, shown(value)));
  }
  out = number;
  return {};
}

// ---- Fields that shape the answer.

Outcome read_model(const json& value, std::string_view name, GenerateRequest& request) {
  return read_text(value, name, request.model);
}

Outcome read_stream(const json& value, std::string_view name, GenerateRequest& request) {
  return read_bool(value, name, request.stream);
}

Outcome read_stream_options(const json& value, std::string_view name, GenerateRequest& request) {
  if (!value.is_object()) return wrong_type(name, "an object", value);
  for (const auto& [key, option] : value.items()) {
    const std::string path = fmt::format("{}.{}", name, key);
    bool ignored = false;
    if (key != "include_usage" && key != "include_obfuscation") {
      return invalid_field(path, fmt::format("'{}' is not an option of streams here.", path), "unknown_parameter");
    }
    if (option.is_null()) continue;
    if (auto error = read_bool(option, path, key == "include_usage" ? request.include_usage : ignored)) return error;
  }
  return {};
}

Outcome read_choices(const json& value, std::string_view name, GenerateRequest& request) {
  std::uint64_t choices = 0;
  if (auto error = read_count(value, name, kChoicesMax, choices)) return error;
  request.choices = static_cast<std::uint32_t>(choices);
  return {};
}

Outcome read_stop(const json& value, std::string_view name, GenerateRequest& request) {
  if (!value.is_string() && !value.is_array()) return wrong_type(name, "a string or an array of strings", value);
  const json list = value.is_string() ? json::array({value}) : value;
  if (list.size() > kStopsMax) {
    return invalid_field(std::string(name),
                         fmt::format("'{}' takes at most {} strings, got {}.", name, kStopsMax, list.size()));
  }
  for (const json& item : list) {
    if (!item.is_string()) return wrong_type(name, "a string or an array of strings", value);
    const auto& text = item.get_ref<const std::string&>();
    if (text.empty() || text.size() > kStopBytesMax) {
      return invalid_field(std::string(name), fmt::format("a string of '{}' must have 1 to {} bytes, got {}.", name,
                                                          kStopBytesMax, text.size()));
    }
    request.stops.push_back(text);
  }
  return {};
}

Outcome read_seed(const json& value, std::string_view name, GenerateRequest& request) {
  if (!value.is_number_integer()) return wrong_type(name, "an integer of 64 bits", value);
  request.seed =
      value.is_number_unsigned() ? value.get<std::uint64_t>() : static_cast<std::uint64_t>(value.get<std::int64_t>());
  return {};
}

Outcome read_temperature(const json& value, std::string_view name, GenerateRequest& request) {
  return read_number(value, name, 0, true, 2, request.temperature);
}

Outcome read_top_p(const json& value, std::string_view name, GenerateRequest& request) {
  return read_number(value, name, 0, false, 1, request.top_p);
}

// Two names of one limit (the older counts the answer only, and so does the newer here); given both, the lower holds.
Outcome read_tokens_max(const json& value, std::string_view name, GenerateRequest& request) {
  std::uint64_t tokens = 0;
  if (auto error = read_count(value, name, std::numeric_limits<std::uint64_t>::max(), tokens)) return error;
  request.tokens_max = std::min(tokens, request.tokens_max.value_or(tokens));
  return {};
}

// OpenAI's names for whom to serve first when not everybody can be.
Outcome read_service_tier(const json& value, std::string_view name, GenerateRequest& request) {
  using conductor::Priority;
  if (value == "flex") {
    request.priority = Priority::kLow;
  } else if (value == "auto" || value == "default") {
    request.priority = Priority::kNormal;
  } else if (value == "priority") {
    request.priority = Priority::kHigh;
  } else {
    return invalid_field(std::string(name),
                         fmt::format("'{}' must be auto, default, flex or priority, got {}.", name, shown(value)));
  }
  return {};
}

Outcome read_ignore_end(const json& value, std::string_view name, GenerateRequest& request) {
  return read_bool(value, name, request.ignore_end);
}

// ---- Prompts.

Outcome read_prompt_tokens(const json& value, std::string_view name, GenerateRequest& request) {
  std::vector<engine::Token> tokens;
  tokens.reserve(value.size());
  for (std::size_t i = 0; i < value.size(); ++i) {
    const json& item = value[i];
    const bool fits =
        item.is_number_unsigned() && item.get<std::uint64_t>() <= std::numeric_limits<engine::Token>::max();
    if (!fits) return wrong_type(fmt::format("{}[{}]", name, i), "a token id", item);
    tokens.push_back(item.get<engine::Token>());
  }
  request.prompt_tokens = std::move(tokens);
  return {};
}

Outcome read_prompt(const json& value, std::string_view name, GenerateRequest& request) {
  if (value.is_string()) return read_text(value, name, request.prompt);
  if (!value.is_array()) return wrong_type(name, "a string, a list of one string or a list of token ids", value);
  if (value.empty()) return invalid_field(std::string(name), fmt::format("'{}' is empty.", name));
  if (value[0].is_number()) return read_prompt_tokens(value, name, request);
  if (value.size() > 1) {
    return invalid_field(std::string(name), fmt::format("'{}' takes one prompt a request, got {}.", name, value.size()),
                         "unsupported");
  }
  if (value[0].is_array() && !value[0].empty())
    return read_prompt_tokens(value[0], fmt::format("{}[0]", name), request);
  return read_text(value[0], fmt::format("{}[0]", name), request.prompt);
}

Outcome read_content_part(const json& part, const std::string& path, std::string& out) {
  if (!part.is_object()) return wrong_type(path, "an object like {\"type\": \"text\", \"text\": ...}", part);
  const auto type = part.find("type");
  if (type == part.end() || !type->is_string())
    return wrong_type(path + ".type", "a string", type == part.end() ? json() : *type);
  if (*type != "text") {
    return invalid_field(
        path + ".type",
        fmt::format("'{}.type' must be \"text\", got {}: this model reads text only.", path, shown(*type)),
        "unsupported");
  }
  const auto text = part.find("text");
  if (text == part.end() || !text->is_string())
    return wrong_type(path + ".text", "a string", text == part.end() ? json() : *text);
  out.append(text->get_ref<const std::string&>());
  return {};
}

Outcome read_content(const json& value, const std::string& path, std::string& out) {
  if (value.is_string()) {
    out = value.get<std::string>();
    return {};
  }
  if (!value.is_array()) return wrong_type(path, "a string or an array of text parts", value);
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (auto error = read_content_part(value[i], fmt::format("{}[{}]", path, i), out)) return error;
  }
  return {};
}

Outcome read_role(const json& value, const std::string& path, std::string& out) {
  if (!value.is_string()) return wrong_type(path, "a string", value);
  const auto& role = value.get_ref<const std::string&>();
  if (role == "system" || role == "user" || role == "assistant") {
    out = role;
  } else if (role == "developer") {
    out = "system";  // the newer name of the same thing
  } else {
    return invalid_field(path,
                         fmt::format("'{}' must be system, developer, user or assistant, got {}.", path, shown(value)));
  }
  return {};
}

Outcome read_message(const json& value, const std::string& path, engine::ChatMessage& out) {
  if (!value.is_object()) return wrong_type(path, "an object with role and content", value);
  for (const auto& [key, member] : value.items()) {
    if (key == "role" || key == "content" || member.is_null()) continue;
    if (key == "name" && member.is_string()) continue;  // the models' chat formats have no place for it
    if ((key == "tool_calls" || key == "annotations") && member.is_array() && member.empty()) continue;
    return invalid_field(fmt::format("{}.{}", path, key), fmt::format("'{}.{}' is not supported.", path, key),
                         "unsupported");
  }
  const auto member = [&value](const char* key) { return value.contains(key) ? value[key] : json(); };
  if (auto error = read_role(member("role"), path + ".role", out.role)) return error;
  return read_content(member("content"), path + ".content", out.content);
}

Outcome read_messages(const json& value, std::string_view name, GenerateRequest& request) {
  if (!value.is_array()) return wrong_type(name, "an array of messages", value);
  if (value.empty()) return invalid_field(std::string(name), fmt::format("'{}' is empty.", name));
  if (value.size() > kMessagesMax) {
    return invalid_field(std::string(name),
                         fmt::format("'{}' takes at most {} messages, got {}.", name, kMessagesMax, value.size()));
  }
  request.messages.resize(value.size());
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (auto error = read_message(value[i], fmt::format("{}[{}]", name, i), request.messages[i])) return error;
  }
  return {};
}

// ---- Fields that may be there as long as they change nothing.

Outcome unsupported(std::string_view name, const json& value) {
  return invalid_field(std::string(name), fmt::format("'{}': {} is not supported.", name, shown(value)), "unsupported");
}

Outcome accept_zero(const json& value, std::string_view name, GenerateRequest&) {
  if (!value.is_number()) return wrong_type(name, "a number", value);
  return value.get<double>() == 0 ? Outcome() : unsupported(name, value);
}

Outcome accept_one(const json& value, std::string_view name, GenerateRequest&) {
  if (!value.is_number()) return wrong_type(name, "a number", value);
  return value.get<double>() == 1 ? Outcome() : unsupported(name, value);
}

Outcome accept_false(const json& value, std::string_view name, GenerateRequest&) {
  if (!value.is_boolean()) return wrong_type(name, "true or false", value);
  return value.get<bool>() ? unsupported(name, value) : Outcome();
}

Outcome accept_empty(const json& value, std::string_view name, GenerateRequest&) {
  if (value.is_string()) return value.get_ref<const std::string&>().empty() ? Outcome() : unsupported(name, value);
  return value.is_structured() && value.empty() ? Outcome() : unsupported(name, value);
}

Outcome accept_any(const json&, std::string_view, GenerateRequest&) { return {}; }

Outcome accept_text_format(const json& value, std::string_view name, GenerateRequest&) {
  return value == json{{"type", "text"}} ? Outcome() : unsupported(name, value);
}

Outcome accept_text_only(const json& value, std::string_view name, GenerateRequest&) {
  return value == json::array({"text"}) ? Outcome() : unsupported(name, value);
}

Outcome accept_no_tool(const json& value, std::string_view name, GenerateRequest&) {
  return value == "none" || value == "auto" ? Outcome() : unsupported(name, value);
}

// ---- The table.

constexpr std::uint8_t kChat = 1;
constexpr std::uint8_t kText = 2;
constexpr std::uint8_t kBoth = kChat | kText;

struct Field {
  std::string_view name;
  std::uint8_t apis;
  Outcome (*read)(const json& value, std::string_view name, GenerateRequest& request);
};

constexpr std::array kFields = std::to_array<Field>({
    {"model", kBoth, read_model},
    {"messages", kChat, read_messages},
    {"prompt", kText, read_prompt},
    {"stream", kBoth, read_stream},
    {"stream_options", kBoth, read_stream_options},
    {"n", kBoth, read_choices},
    {"stop", kBoth, read_stop},
    {"seed", kBoth, read_seed},
    {"temperature", kBoth, read_temperature},
    {"top_p", kBoth, read_top_p},
    {"max_tokens", kBoth, read_tokens_max},
    {"max_completion_tokens", kChat, read_tokens_max},
    {"ignore_eos", kBoth, read_ignore_end},
    {"service_tier", kBoth, read_service_tier},
    {"user", kBoth, accept_any},
    {"metadata", kChat, accept_any},
    {"safety_identifier", kChat, accept_any},
    {"prompt_cache_key", kChat, accept_any},
    {"prompt_cache_retention", kChat, accept_any},
    {"parallel_tool_calls", kChat, accept_any},
    {"store", kChat, accept_false},
    {"frequency_penalty", kBoth, accept_zero},
    {"presence_penalty", kBoth, accept_zero},
    {"logit_bias", kBoth, accept_empty},
    {"logprobs", kChat, accept_false},
    {"logprobs", kText, accept_zero},
    {"top_logprobs", kChat, accept_zero},
    {"tools", kChat, accept_empty},
    {"functions", kChat, accept_empty},
    {"tool_choice", kChat, accept_no_tool},
    {"function_call", kChat, accept_no_tool},
    {"response_format", kChat, accept_text_format},
    {"modalities", kChat, accept_text_only},
    {"best_of", kText, accept_one},
    {"echo", kText, accept_false},
    {"suffix", kText, accept_empty},
});

const Field* find_field(std::string_view name, std::uint8_t api) {
  const auto field =
      std::ranges::find_if(kFields, [&](const Field& f) { return f.name == name && (f.apis & api) != 0; });
  return field == kFields.end() ? nullptr : &*field;
}

Outcome require(const json& body, const char* name) {
  if (body.contains(name) && !body[name].is_null()) return {};
  return invalid_field(name, fmt::format("'{}' is required.", name), "missing_required_parameter");
}

}  // namespace

std::optional<ApiError> read_generate_request(Api api, std::string_view body, GenerateRequest& request) {
  json tree;
  if (auto error = read_json_object(body, tree)) return error;
  request = {};
  request.api = api;
  if (auto error = require(tree, api == Api::kChat ? "messages" : "prompt")) return error;
  for (const auto& [name, value] : tree.items()) {
    const Field* field = find_field(name, api == Api::kChat ? kChat : kText);
    if (field == nullptr) {
      const std::string cut = name.substr(0, 100);
      return invalid_field(cut, fmt::format("'{}' is not a parameter of this request.", cut), "unknown_parameter");
    }
    if (value.is_null()) continue;
    if (auto error = field->read(value, name, request)) return error;
  }
  if (tree.contains("stream_options") && !tree["stream_options"].is_null() && !request.stream) {
    return invalid_field("stream_options", "'stream_options' needs 'stream' to be true.");
  }
  return {};
}

std::optional<ApiError> read_tokenize_request(std::string_view body, std::string& text) {
  json tree;
  if (auto error = read_json_object(body, tree)) return error;
  const char* name = tree.contains("prompt") ? "prompt" : "content";
  if (auto error = require(tree, name)) return error;
  return read_text(tree[name], name, text);
}

}  // namespace mooncake::serve::openai
