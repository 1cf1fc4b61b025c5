#include "serve/gateway/prepare.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "kvcache/block_key.h"

namespace mooncake::serve {
namespace {

using nlohmann::json;
using openai::Api;

class PrepareTest : public testing::Test {
 protected:
  static engine::ModelFront make_front() {
    auto front = engine::load_model_front({.kind = "simulated", .model_path = {}, .context_tokens = 1000});
    EXPECT_TRUE(front.ok()) << front.status().to_string();
    return std::move(front).value();
  }
  PreparedRequest prepared(Api api, const json& body) {
    PreparedRequest out;
    const auto error = prepare(api, body.dump(), front_, {}, out);
    EXPECT_EQ(error, std::nullopt) << (error ? error->message : "");
    return out;
  }
  openai::ApiError refused(Api api, const json& body) {
    PreparedRequest out;
    return prepare(api, body.dump(), front_, {}, out).value_or(openai::ApiError{.http_status = 0});
  }
  [[nodiscard]] json text(const json& change = json::object()) const {
    json body = {{"model", front_.model.id}, {"prompt", "hello"}};
    body.update(change);
    return body;
  }

  engine::ModelFront front_ = make_front();
};

TEST_F(PrepareTest, APromptIsTokenizedAndItsFullBlocksAreHashed) {
  const PreparedRequest out = prepared(Api::kText, text({{"prompt", std::string(200, 'x')}, {"max_tokens", 7}}));
  EXPECT_EQ(out.prompt.size(), 200u);
  EXPECT_EQ(out.block_keys.size(), 200u / front_.layout.block_tokens);
  EXPECT_EQ(out.block_keys, kvcache::block_keys({.model = front_.layout.model, .lora = {}, .tenant = {}}, out.prompt,
                                                front_.layout.block_tokens));
  EXPECT_EQ(out.tokens_max, 7u);
}

TEST_F(PrepareTest, ATenantsBlocksHaveItsSaltInTheirKeys) {
  const std::string body = text({{"prompt", std::string(200, 'x')}}).dump();
  PreparedRequest out;
  EXPECT_EQ(prepare(Api::kText, body, front_, {.name = "a", .cache_salt = "a"}, out), std::nullopt);
  EXPECT_EQ(out.block_keys, kvcache::block_keys({.model = front_.layout.model, .lora = {}, .tenant = "a"}, out.prompt,
                                                front_.layout.block_tokens));
  EXPECT_EQ(out.tenant.name, "a");
}

TEST_F(PrepareTest, ARequestThatNamesNoModelMeansTheOneThatIsServed) {
  EXPECT_EQ(prepared(Api::kText, {{"prompt", "hello"}}).request.model, front_.model.id);
}

TEST_F(PrepareTest, TokenIdsAreTakenAsTheyAre) {
  const PreparedRequest out = prepared(Api::kText, text({{"prompt", {104, 105}}}));
  EXPECT_EQ(out.prompt, (std::vector<engine::Token>{104, 105}));
  EXPECT_EQ(out.tokens_max, openai::kTextTokensDefault);
}

TEST_F(PrepareTest, AChatGoesThroughTheModelsFormat) {
  const json body = {{"model", front_.model.id}, {"messages", {{{"role", "user"}, {"content", "hello"}}}}};
  const PreparedRequest out = prepared(Api::kChat, body);
  EXPECT_GT(out.prompt.size(), 5u);
  EXPECT_EQ(out.tokens_max, 1000 - out.prompt.size()) << "as long as it likes";
}

TEST_F(PrepareTest, AnAnswerBeyondTheContextIsCut) {
  EXPECT_EQ(prepared(Api::kText, text({{"max_tokens", 5000}})).tokens_max, 995u);
  EXPECT_EQ(prepared(Api::kText, text({{"max_tokens", 1'000'000'000'000}})).tokens_max, 995u);
  EXPECT_EQ(prepared(Api::kText, text({{"prompt", std::string(999, 'x')}, {"max_tokens", 5}})).tokens_max, 1u);
}

TEST_F(PrepareTest, APromptBeyondTheContextIsRefused) {
  const openai::ApiError error = refused(Api::kText, text({{"prompt", std::string(1000, 'x')}}));
  EXPECT_EQ(error.http_status, 400u);
  EXPECT_EQ(error.code, "context_length_exceeded");
  EXPECT_EQ(error.param, "prompt");
  EXPECT_NE(error.message.find("1000 tokens"), std::string::npos) << error.message;
}

TEST_F(PrepareTest, UnknownModelsEmptyPromptsAndForeignTokensAreRefused) {
  EXPECT_EQ(refused(Api::kText, text({{"model", "gpt-17"}})).code, "model_not_found");
  EXPECT_EQ(refused(Api::kText, text({{"model", "gpt-17"}})).http_status, 404u);
  EXPECT_EQ(refused(Api::kText, text({{"prompt", ""}})).param, "prompt");
  EXPECT_EQ(refused(Api::kText, text({{"prompt", {1, 100'000}}})).param, "prompt[1]");
}

}  // namespace
}  // namespace mooncake::serve
