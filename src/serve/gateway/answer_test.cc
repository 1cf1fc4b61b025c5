#include "serve/gateway/answer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "serve/gateway/fake_exchange.h"

namespace mooncake::serve {
namespace {

using nlohmann::json;

// Token i is the i-th byte of "h\xC3\xA9llo END" and so on: characters and stop strings are spread over tokens.
class ByteTokenizer final : public engine::Tokenizer {
 public:
  [[nodiscard]] Result<std::vector<engine::Token>> tokenize(std::string_view, bool) const override {
    return std::vector<engine::Token>{};
  }
  [[nodiscard]] std::string piece(engine::Token token) const override { return {static_cast<char>(token)}; }
  [[nodiscard]] bool is_end(engine::Token) const override { return false; }
  [[nodiscard]] Result<std::string> chat_prompt(std::span<const engine::ChatMessage>) const override {
    return std::string();
  }
  [[nodiscard]] std::uint32_t vocabulary_size() const override { return 256; }
};

struct Fixture {
  explicit Fixture(openai::GenerateRequest request)
      : answer(exchange,
               {.api = request.api, .id = "id-1", .model = "m", .created_s = 1, .include_usage = request.include_usage},
               request, tokenizer) {}
  void show(std::string_view bytes, std::uint32_t choice = 0) {
    for (const char byte : bytes) {
      ASSERT_TRUE(answer.show(choice, static_cast<unsigned char>(byte)).ok());
      if (answer.stopped(choice)) break;
    }
  }
  [[nodiscard]] std::vector<json> events() const {
    std::vector<json> events;
    for (std::size_t at = 0; at < exchange->body.size();) {
      const std::size_t end = exchange->body.find("\n\n", at);
      const std::string data = exchange->body.substr(at + 6, end - at - 6);
      events.push_back(data == "[DONE]" ? json("[DONE]") : json::parse(data));
      at = end + 2;
    }
    return events;
  }

  ByteTokenizer tokenizer;
  std::shared_ptr<FakeExchange> exchange = std::make_shared<FakeExchange>();
  Answer answer;
};

TEST(Answer, AStreamIsRoleContentFinishUsageDone) {
  Fixture f({.api = openai::Api::kChat, .stream = true, .include_usage = true});
  f.answer.start({{"x-request-id", "id-1"}});
  EXPECT_EQ(f.exchange->header("content-type"), "text/event-stream; charset=utf-8");
  EXPECT_EQ(f.exchange->header("x-request-id"), "id-1");
  f.show("h\xC3\xA9");
  ASSERT_TRUE(f.answer.finish(0, AnswerEnd::kLength).ok());
  f.answer.end({.prompt_tokens = 5, .answer_tokens = 3, .cached_tokens = 2});
  EXPECT_TRUE(f.exchange->finished);
  const auto events = f.events();
  ASSERT_EQ(events.size(), 6u);
  EXPECT_EQ(events[0]["choices"][0]["delta"]["role"], "assistant");
  EXPECT_EQ(events[1]["choices"][0]["delta"]["content"], "h");
  EXPECT_EQ(events[2]["choices"][0]["delta"]["content"], "é") << "two tokens, one character, one chunk";
  EXPECT_EQ(events[3]["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(events[4]["usage"]["prompt_tokens_details"]["cached_tokens"], 2);
  EXPECT_EQ(events[5], "[DONE]");
}

TEST(Answer, TheRoleGoesOutEvenIfTheFirstTokenShowsNothing) {
  Fixture f({.api = openai::Api::kChat, .stream = true});
  f.answer.start({});
  f.show("\xC3");
  ASSERT_EQ(f.events().size(), 1u);
  EXPECT_EQ(f.events()[0]["choices"][0]["delta"]["role"], "assistant");
}

TEST(Answer, AStopStringSpreadOverTokensIsNotShown) {
  Fixture f({.api = openai::Api::kText, .stops = {"END"}});
  f.answer.start({});
  f.show("the ENd is near. END of it");
  EXPECT_TRUE(f.answer.stopped(0));
  ASSERT_TRUE(f.answer.finish(0, AnswerEnd::kLength).ok());
  f.answer.end({});
  const json body = json::parse(f.exchange->body);
  EXPECT_EQ(body["choices"][0]["text"], "the ENd is near. ");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "stop") << "although the limit came at the same time";
}

TEST(Answer, WhatWasHeldBackIsShownAtTheEnd) {
  Fixture f({.api = openai::Api::kText, .stops = {"END"}});
  f.answer.start({});
  f.show("an EN\xE2\x82");
  ASSERT_TRUE(f.answer.finish(0, AnswerEnd::kStop).ok());
  f.answer.end({});
  EXPECT_EQ(json::parse(f.exchange->body)["choices"][0]["text"], "an EN\xEF\xBF\xBD");
}

TEST(Answer, ChoicesAreKeptApart) {
  Fixture f({.api = openai::Api::kText, .choices = 2});
  f.answer.start({});
  f.show("on", 0);
  f.show("two", 1);
  f.show("e", 0);
  for (const std::uint32_t choice : {1u, 0u}) ASSERT_TRUE(f.answer.finish(choice, AnswerEnd::kStop).ok());
  f.answer.end({});
  const json body = json::parse(f.exchange->body);
  EXPECT_EQ(body["choices"][0]["text"], "one");
  EXPECT_EQ(body["choices"][1]["text"], "two");
}

TEST(Answer, BeforeTheFirstTokenAnErrorIsAStatus) {
  Fixture f({.stream = true});
  f.answer.fail(openai::overloaded("no_capacity", "nobody", "", Seconds(2)));
  EXPECT_EQ(f.exchange->status, 503u);
  EXPECT_EQ(f.exchange->header("retry-after"), "2");
  EXPECT_EQ(f.exchange->header("x-request-id"), "id-1");
  EXPECT_EQ(json::parse(f.exchange->body)["error"]["code"], "no_capacity");
}

TEST(Answer, InMidStreamAnErrorIsAnEventAndNoDone) {
  Fixture f({.api = openai::Api::kText, .stream = true});
  f.answer.start({});
  f.show("x");
  f.answer.fail(openai::api_error(Status(Code::kPeerLost, "lost twice")));
  EXPECT_EQ(f.exchange->status, 200u);
  EXPECT_TRUE(f.exchange->finished);
  EXPECT_EQ(f.events().back()["error"]["code"], "peer_lost");
}

TEST(Answer, AClientThatDoesNotReadIsReported) {
  Fixture f({.api = openai::Api::kText, .stream = true});
  f.answer.start({});
  f.exchange->write_status = Status(Code::kExhausted, "backlog");
  EXPECT_EQ(f.answer.show(0, 'x').code(), Code::kExhausted);
}

}  // namespace
}  // namespace mooncake::serve
