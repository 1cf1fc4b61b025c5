#include "serve/openai/response.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mooncake::serve::openai {
namespace {

using nlohmann::json;

json parsed_event(const std::string& event) {
  EXPECT_TRUE(event.starts_with("data: ")) << event;
  EXPECT_TRUE(event.ends_with("\n\n")) << event;
  EXPECT_EQ(event.find('\n'), event.size() - 2) << "one line an event";
  return json::parse(event.substr(6));
}

const ResponseHead kChatHead{
    .api = Api::kChat, .id = "chatcmpl-1", .model = "m", .created_s = 7, .include_usage = true};
const ResponseHead kTextHead{.api = Api::kText, .id = "cmpl-1", .model = "m", .created_s = 7};

TEST(Response, AWholeChatLooksAsClientsExpect) {
  const ChoiceResult choices[] = {{0, "one", "stop"}, {1, "two\n\"", "length"}};
  const json body =
      json::parse(whole_response(kChatHead, choices, {.prompt_tokens = 10, .answer_tokens = 4, .cached_tokens = 8}));
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["choices"][1]["index"], 1);
  EXPECT_EQ(body["choices"][1]["message"]["role"], "assistant");
  EXPECT_EQ(body["choices"][1]["message"]["content"], "two\n\"");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(body["choices"][1]["finish_reason"], "length");
  EXPECT_EQ(body["usage"]["total_tokens"], 14);
  EXPECT_EQ(body["usage"]["prompt_tokens_details"]["cached_tokens"], 8);
}

TEST(Response, AWholeTextLooksAsClientsExpect) {
  const ChoiceResult choices[] = {{0, "one", "stop"}};
  const json body = json::parse(whole_response(kTextHead, choices, {}));
  EXPECT_EQ(body["object"], "text_completion");
  EXPECT_EQ(body["choices"][0]["text"], "one");
}

TEST(Response, ChatEventsGoRoleContentFinishUsage) {
  const json role = parsed_event(role_event(kChatHead, 2));
  EXPECT_EQ(role["object"], "chat.completion.chunk");
  EXPECT_EQ(role["choices"][0]["delta"], json({{"role", "assistant"}, {"content", ""}}));
  EXPECT_EQ(role["choices"][0]["index"], 2);
  EXPECT_TRUE(role["usage"].is_null());
  const json content = parsed_event(content_event(kChatHead, 0, "é\n"));
  EXPECT_EQ(content["choices"][0]["delta"], json({{"content", "é\n"}}));
  EXPECT_TRUE(content["choices"][0]["finish_reason"].is_null());
  const json finish = parsed_event(finish_event(kChatHead, 0, "stop"));
  EXPECT_EQ(finish["choices"][0]["delta"], json::object());
  EXPECT_EQ(finish["choices"][0]["finish_reason"], "stop");
  const json usage = parsed_event(usage_event(kChatHead, {.prompt_tokens = 1, .answer_tokens = 2}));
  EXPECT_EQ(usage["choices"], json::array());
  EXPECT_EQ(usage["usage"]["completion_tokens"], 2);
  EXPECT_EQ(done_event(), "data: [DONE]\n\n");
}

TEST(Response, TextEventsCarryText) {
  const json content = parsed_event(content_event(kTextHead, 0, "x"));
  EXPECT_EQ(content["choices"][0]["text"], "x");
  EXPECT_FALSE(content.contains("usage")) << "only where it was asked for";
  EXPECT_EQ(parsed_event(finish_event(kTextHead, 0, "length"))["choices"][0]["text"], "");
}

TEST(ApiError, EveryFailureHasAnHttpStatus) {
  for (std::uint32_t code = 1; code <= 14; ++code) {
    const ApiError error = api_error(Status(code_from_wire(code), "why"));
    EXPECT_GE(error.http_status, 400u);
    EXPECT_LT(error.http_status, 600u);
    const json body = json::parse(error_body(error));
    EXPECT_EQ(body["error"]["message"], "why");
    EXPECT_EQ(body["error"]["code"], code_name(code_from_wire(code)));
    EXPECT_TRUE(body["error"]["param"].is_null());
  }
}

TEST(ApiError, OverloadSaysWhenToComeBackInWholeSeconds) {
  const ApiError error = overloaded("slo", "busy", "wait", Millis(2100));
  EXPECT_EQ(error.http_status, 503u);
  EXPECT_EQ(json::parse(error_body(error))["error"]["hint"], "wait");
  EXPECT_EQ(error_headers(error)[1], (std::pair<std::string, std::string>("retry-after", "3")));
  EXPECT_EQ(error_headers(overloaded("slo", "busy", "", Nanos{}))[1].second, "1") << "never 0";
}

TEST(ApiError, BytesThatAreNotUtf8AreReplaced) {
  EXPECT_FALSE(json::parse(error_body(invalid_field("p\xff", "m\xfe")), nullptr, false).is_discarded());
}

TEST(Models, ListHoldsTheOneModel) {
  const json list = json::parse(models_body("m", 1, 8192));
  EXPECT_EQ(list["data"][0]["id"], "m");
  EXPECT_EQ(list["data"][0], json::parse(model_body("m", 1, 8192)));
  const json tokens = json::parse(tokenize_body(std::vector<engine::Token>{1, 2}, 8192));
  EXPECT_EQ(tokens["count"], 2);
  EXPECT_EQ(tokens["tokens"], json({1, 2}));
  EXPECT_EQ(tokens["max_model_len"], 8192);
}

}  // namespace
}  // namespace mooncake::serve::openai
