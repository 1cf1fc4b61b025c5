#include "serve/openai/request.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/rng.h"
#include "serve/openai/json_reader.h"

namespace mooncake::serve::openai {
namespace {

using nlohmann::json;

json text_body(const json& change = json::object()) {
  json body = {{"model", "m"}, {"prompt", "hello"}};
  body.update(change);
  return body;
}

json chat_body(const json& change = json::object()) {
  json body = {{"model", "m"}, {"messages", {{{"role", "user"}, {"content", "hello"}}}}};
  body.update(change);
  return body;
}

GenerateRequest accepted(Api api, const json& body) {
  GenerateRequest request;
  const auto error = read_generate_request(api, body.dump(), request);
  EXPECT_EQ(error, std::nullopt) << body.dump() << " -> " << (error ? error->message : "");
  return request;
}

ApiError refused(Api api, const std::string& body) {
  GenerateRequest request;
  const auto error = read_generate_request(api, body, request);
  EXPECT_TRUE(error.has_value()) << body.substr(0, 200);
  return error.value_or(ApiError{});
}

TEST(GenerateRequest, ReadsEveryFieldOfAChat) {
  const GenerateRequest request = accepted(Api::kChat, json::parse(R"({
    "model": "m", "stream": true, "stream_options": {"include_usage": true}, "n": 3, "stop": ["a", "bc"], "seed": -1,
    "temperature": 0.5, "top_p": 0.9, "max_completion_tokens": 17, "user": "u", "ignore_eos": true,
    "messages": [{"role": "developer", "content": "be kind", "name": "n"},
                 {"role": "user", "content": [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]}]})"));
  EXPECT_EQ(request.model, "m");
  EXPECT_TRUE(request.stream);
  EXPECT_TRUE(request.include_usage);
  EXPECT_TRUE(request.ignore_end);
  EXPECT_EQ(request.choices, 3u);
  EXPECT_EQ(request.stops, (std::vector<std::string>{"a", "bc"}));
  EXPECT_EQ(request.seed, ~0ull);
  EXPECT_FLOAT_EQ(request.temperature, 0.5F);
  EXPECT_FLOAT_EQ(request.top_p, 0.9F);
  EXPECT_EQ(request.tokens_max, 17u);
  ASSERT_EQ(request.messages.size(), 2u);
  EXPECT_EQ(request.messages[0].role, "system");
  EXPECT_EQ(request.messages[1].content, "one two");
}

TEST(GenerateRequest, DefaultsAreOpenAis) {
  const GenerateRequest request = accepted(Api::kText, text_body());
  EXPECT_FALSE(request.stream);
  EXPECT_EQ(request.choices, 1u);
  EXPECT_EQ(request.temperature, 1.0F);
  EXPECT_EQ(request.top_p, 1.0F);
  EXPECT_EQ(request.seed, std::nullopt);
  EXPECT_EQ(request.tokens_max, std::nullopt);
}

TEST(GenerateRequest, ReadsThreeKindsOfPrompts) {
  EXPECT_EQ(accepted(Api::kText, text_body({{"prompt", "x"}})).prompt, "x");
  EXPECT_EQ(accepted(Api::kText, text_body({{"prompt", {"x"}}})).prompt, "x");
  EXPECT_EQ(*accepted(Api::kText, text_body({{"prompt", {1, 2, 3}}})).prompt_tokens,
            (std::vector<engine::Token>{1, 2, 3}));
  const json nested = json::array({json::array({4, 5})});
  EXPECT_EQ(*accepted(Api::kText, text_body({{"prompt", nested}})).prompt_tokens, (std::vector<engine::Token>{4, 5}));
}

TEST(GenerateRequest, NullIsAbsentAndWhatChangesNothingIsAccepted) {
  const json kHarmless[] = {
      {{"n", nullptr}, {"stop", nullptr}, {"seed", nullptr}, {"max_tokens", nullptr}, {"temperature", nullptr}},
      {{"frequency_penalty", 0}, {"presence_penalty", 0.0}, {"logit_bias", json::object()}},
      {{"stop", json::array()}, {"user", "somebody"}, {"stream", false}},
  };
  for (const json& change : kHarmless) {
    accepted(Api::kChat, chat_body(change));
    accepted(Api::kText, text_body(change));
  }
  accepted(Api::kChat, chat_body({{"tools", json::array()}, {"tool_choice", "none"}, {"logprobs", false}}));
  accepted(Api::kChat, chat_body({{"response_format", {{"type", "text"}}}, {"modalities", {"text"}}}));
  accepted(Api::kText, text_body({{"best_of", 1}, {"echo", false}, {"suffix", ""}, {"logprobs", 0}}));
}

TEST(GenerateRequest, AServiceTierIsAPriority) {
  using conductor::Priority;
  for (const auto& [tier, priority] : std::vector<std::pair<json, Priority>>{{"auto", Priority::kNormal},
                                                                             {"default", Priority::kNormal},
                                                                             {"flex", Priority::kLow},
                                                                             {"priority", Priority::kHigh},
                                                                             {nullptr, Priority::kNormal}}) {
    GenerateRequest request;
    EXPECT_EQ(read_generate_request(Api::kChat, chat_body({{"service_tier", tier}}).dump(), request), std::nullopt);
    EXPECT_EQ(request.priority, priority) << tier;
    EXPECT_EQ(read_generate_request(Api::kText, json({{"prompt", "a"}, {"service_tier", tier}}).dump(), request),
              std::nullopt);
    EXPECT_EQ(request.priority, priority) << tier;
  }
  for (const json& wrong : {json("scale"), json(1), json::array()}) {
    const ApiError error = refused(Api::kChat, chat_body({{"service_tier", wrong}}).dump());
    EXPECT_EQ(error.http_status, 400u);
    EXPECT_EQ(error.param, "service_tier");
    EXPECT_NE(error.message.find("auto, default, flex or priority"), std::string::npos) << error.message;
  }
}

TEST(GenerateRequest, OfTwoLimitsTheLowerHolds) {
  EXPECT_EQ(accepted(Api::kChat, chat_body({{"max_tokens", 5}, {"max_completion_tokens", 9}})).tokens_max, 5u);
  EXPECT_EQ(accepted(Api::kChat, chat_body({{"max_tokens", 9}, {"max_completion_tokens", 5}})).tokens_max, 5u);
}

TEST(GenerateRequest, WrongValuesAreRefusedByName) {
  struct Case {
    const char* change;
    const char* param;
  };
  const Case kBoth[] = {
      {R"({"n": 0})", "n"},
      {R"({"n": 9})", "n"},
      {R"({"n": -1})", "n"},
      {R"({"n": 1.0})", "n"},
      {R"({"n": "2"})", "n"},
      {R"({"n": 99999999999999999999})", "n"},
      {R"({"max_tokens": 0})", "max_tokens"},
      {R"({"max_tokens": -5})", "max_tokens"},
      {R"({"max_tokens": 1.5})", "max_tokens"},
      {R"({"max_tokens": "many"})", "max_tokens"},
      {R"({"max_tokens": true})", "max_tokens"},
      {R"({"max_tokens": 1e30})", "max_tokens"},
      {R"({"temperature": -0.1})", "temperature"},
      {R"({"temperature": 2.1})", "temperature"},
      {R"({"temperature": "hot"})", "temperature"},
      {R"({"top_p": 0})", "top_p"},
      {R"({"top_p": 1.01})", "top_p"},
      {R"({"top_p": 1e-50})", "top_p"},
      {R"({"top_p": []})", "top_p"},
      {R"({"seed": "x"})", "seed"},
      {R"({"seed": 0.5})", "seed"},
      {R"({"stop": 7})", "stop"},
      {R"({"stop": ""})", "stop"},
      {R"({"stop": ["a", ""]})", "stop"},
      {R"({"stop": [["nested"]]})", "stop"},
      {R"({"stop": ["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16","17"]})", "stop"},
      {R"({"stream": "yes"})", "stream"},
      {R"({"stream": 1})", "stream"},
      {R"({"stream_options": {"include_usage": true}})", "stream_options"},
      {R"({"stream": true, "stream_options": {"include_usage": 1}})", "stream_options.include_usage"},
      {R"({"stream": true, "stream_options": {"x": true}})", "stream_options.x"},
      {R"({"stream": true, "stream_options": []})", "stream_options"},
      {R"({"model": 7})", "model"},
      {R"({"model": []})", "model"},
      {R"({"frequency_penalty": 0.5})", "frequency_penalty"},
      {R"({"presence_penalty": "0"})", "presence_penalty"},
      {R"({"logit_bias": {"1": 5}})", "logit_bias"},
      {R"({"no_such_field": 1})", "no_such_field"},
  };
  for (const auto& [change, param] : kBoth) {
    for (const Api api : {Api::kChat, Api::kText}) {
      const json body = api == Api::kChat ? chat_body(json::parse(change)) : text_body(json::parse(change));
      const ApiError error = refused(api, body.dump());
      EXPECT_EQ(error.http_status, 400u) << change;
      EXPECT_EQ(error.type, "invalid_request_error") << change;
      EXPECT_EQ(error.param, param) << change;
      EXPECT_NE(error.message.find(param), std::string::npos) << error.message;
      EXPECT_FALSE(error.code.empty()) << change;
    }
  }
}

TEST(GenerateRequest, WrongPromptsAreRefusedByName) {
  const std::pair<const char*, const char*> kCases[] = {
      {R"({"prompt": null})", "prompt"},
      {R"({"prompt": 5})", "prompt"},
      {R"({"prompt": {"a": 1}})", "prompt"},
      {R"({"prompt": []})", "prompt"},
      {R"({"prompt": ["a", "b"]})", "prompt"},
      {R"({"prompt": [1, "b"]})", "prompt[1]"},
      {R"({"prompt": [-1]})", "prompt[0]"},
      {R"({"prompt": [1.5]})", "prompt[0]"},
      {R"({"prompt": [[]]})", "prompt[0]"},
      {R"({"prompt": [4294967296]})", "prompt[0]"},
      {R"({"prompt": [[1, null]]})", "prompt[0][1]"},
      {R"({"echo": true})", "echo"},
      {R"({"best_of": 2})", "best_of"},
      {R"({"suffix": "x"})", "suffix"},
      {R"({"logprobs": 3})", "logprobs"},
      {R"({"messages": []})", "messages"},
  };
  for (const auto& [change, param] : kCases) {
    EXPECT_EQ(refused(Api::kText, text_body(json::parse(change)).dump()).param, param) << change;
  }
}

TEST(GenerateRequest, WrongMessagesAreRefusedByPath) {
  const std::pair<const char*, const char*> kCases[] = {
      {R"(null)", "messages"},
      {R"([])", "messages"},
      {R"("hi")", "messages"},
      {R"(["hi"])", "messages[0]"},
      {R"([{"content": "hi"}])", "messages[0].role"},
      {R"([{"role": "user"}])", "messages[0].content"},
      {R"([{"role": "user", "content": null}])", "messages[0].content"},
      {R"([{"role": "user", "content": 5}])", "messages[0].content"},
      {R"([{"role": "king", "content": "hi"}])", "messages[0].role"},
      {R"([{"role": "tool", "content": "hi"}])", "messages[0].role"},
      {R"([{"role": 1, "content": "hi"}])", "messages[0].role"},
      {R"([{"role": "user", "content": "a"}, {"role": "user", "content": [1]}])", "messages[1].content[0]"},
      {R"([{"role": "user", "content": [{"type": "image_url"}]}])", "messages[0].content[0].type"},
      {R"([{"role": "user", "content": [{"text": "x"}]}])", "messages[0].content[0].type"},
      {R"([{"role": "user", "content": [{"type": "text"}]}])", "messages[0].content[0].text"},
      {R"([{"role": "assistant", "content": "x", "tool_calls": [{"id": 1}]}])", "messages[0].tool_calls"},
  };
  for (const auto& [messages, param] : kCases) {
    EXPECT_EQ(refused(Api::kChat, chat_body({{"messages", json::parse(messages)}}).dump()).param, param) << messages;
  }
  for (const char* change :
       {R"({"tools": [{"type": "function"}]})", R"({"tool_choice": "required"})", R"({"logprobs": true})",
        R"({"response_format": {"type": "json_object"}})", R"({"modalities": ["audio"]})", R"({"store": true})"}) {
    EXPECT_EQ(refused(Api::kChat, chat_body(json::parse(change)).dump()).http_status, 400u) << change;
  }
}

TEST(GenerateRequest, BrokenJsonIsRefusedWithItsPosition) {
  for (const char* body : {"", "{", "[1, 2", R"({"model": "m", "prompt": "x")", "{]", "nul", R"({"a": 01})", "{} x",
                           R"({"a": "\ud800"})", R"({"a": 1e999})", "'a'"}) {
    const ApiError error = refused(Api::kText, body);
    EXPECT_EQ(error.http_status, 400u);
    EXPECT_EQ(error.code, "invalid_json") << body << ": " << error.message;
    EXPECT_NE(error.message.find("JSON at byte"), std::string::npos) << error.message;
  }
  EXPECT_EQ(refused(Api::kText, std::string("\0", 1)).code, "invalid_json");
  EXPECT_EQ(refused(Api::kText, "[]").code, "invalid_json") << "not an object";
}

TEST(GenerateRequest, InvalidUtf8IsRefusedWithItsPosition) {
  const ApiError error = refused(Api::kText, "{\"model\": \"\xff\"}");
  EXPECT_EQ(error.code, "invalid_utf8");
  EXPECT_NE(error.message.find("byte 11 (0xff)"), std::string::npos) << error.message;
}

TEST(GenerateRequest, DepthAndSizeAreLimited) {
  EXPECT_EQ(refused(Api::kText, std::string(100'000, '[')).code, "json_too_large");
  std::string objects;
  for (int i = 0; i < 1000; ++i) objects += "{\"a\":";
  EXPECT_EQ(refused(Api::kText, objects).code, "json_too_large");
  std::string wide = "{\"prompt\": [0";
  for (std::size_t i = 0; i < kJsonValuesMax; ++i) wide += ",0";
  EXPECT_EQ(refused(Api::kText, wide + "]}").code, "json_too_large");
}

// Every prefix and every single-byte change of a valid body gets an answer; nothing throws, and what is refused says
// why.
TEST(GenerateRequest, DamagedBodiesAlwaysGetAnAnswer) {
  const std::string body = chat_body({{"stop", {"a"}}, {"n", 2}, {"temperature", 0.5}, {"stream", true}}).dump();
  Rng rng(3);
  GenerateRequest request;
  for (std::size_t size = 0; size < body.size(); ++size) refused(Api::kChat, body.substr(0, size));
  for (int round = 0; round < 5000; ++round) {
    std::string damaged = body;
    damaged[rng.below(damaged.size())] = static_cast<char>(rng.below(256));
    if (const auto error = read_generate_request(Api::kChat, damaged, request)) {
      EXPECT_FALSE(error->message.empty());
      EXPECT_FALSE(json::parse(error_body(*error), nullptr, false).is_discarded());
    }
  }
}

TEST(TokenizeRequest, TakesPromptOrContent) {
  std::string text;
  EXPECT_EQ(read_tokenize_request(R"({"prompt": "a"})", text), std::nullopt);
  EXPECT_EQ(text, "a");
  EXPECT_EQ(read_tokenize_request(R"({"content": "b"})", text), std::nullopt);
  EXPECT_EQ(text, "b");
  EXPECT_EQ(read_tokenize_request(R"({})", text)->param, "content");
  EXPECT_EQ(read_tokenize_request(R"({"prompt": 1})", text)->param, "prompt");
}

}  // namespace
}  // namespace mooncake::serve::openai
