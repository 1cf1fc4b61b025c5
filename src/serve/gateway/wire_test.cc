#include "serve/gateway/wire.h"

#include <gtest/gtest.h>

#include "proto/serve.pb.h"

namespace mooncake::serve {
namespace {

TEST(Wire, APrefillOrderCarriesEverythingTheWorkerNeeds) {
  const std::vector<engine::Token> prompt = {1, 2, 3};
  const std::vector<engine::Token> emitted = {4};
  pb::PrefillRequest wire;
  ASSERT_TRUE(wire.ParseFromString(encode_prefill(
      {.id = "a.0.2",
       .prompt = prompt,
       .emitted = emitted,
       .answer = {.temperature = 0.5F, .top_p = 0.25F, .seed = ~0ull, .choice = 3, .tokens_max = 9, .ignore_end = true},
       .gateway = "g:1",
       .decode = "d:1",
       .model = "m",
       .reuse_blocks_max = 0,
       .deadline_ms = 100,
       .expected_ms = 1.5,
       .predicted_ms = 0.5,
       .tenant = {.id = conductor::TenantId{~0ull}, .weight = 3},
       .cache_salt = "team"})));
  EXPECT_EQ(wire.request_id(), "a.0.2");
  EXPECT_EQ(std::vector<engine::Token>(wire.tokens().begin(), wire.tokens().end()), prompt);
  EXPECT_EQ(wire.emitted(0), 4u);
  EXPECT_EQ(wire.sampling().seed(), ~0ull);
  EXPECT_EQ(wire.sampling().choice(), 3u);
  EXPECT_EQ(wire.sampling().tokens_max(), 9u);
  EXPECT_EQ(wire.sampling().temperature(), 0.5F);
  EXPECT_EQ(wire.sampling().top_p(), 0.25F);
  EXPECT_TRUE(wire.sampling().ignore_end());
  EXPECT_EQ(wire.gateway(), "g:1");
  EXPECT_EQ(wire.decode(), "d:1");
  EXPECT_EQ(wire.model(), "m");
  EXPECT_TRUE(wire.has_reuse_blocks_max()) << "0 is a limit, too";
  EXPECT_EQ(wire.reuse_blocks_max(), 0u);
  EXPECT_EQ(wire.deadline_ms(), 100);
  EXPECT_EQ(wire.expected_ms(), 1.5);
  EXPECT_EQ(wire.predicted_ms(), 0.5);
  EXPECT_EQ(wire.tenant(), ~0ull);
  EXPECT_EQ(wire.tenant_weight(), 3u);
  EXPECT_EQ(wire.cache_salt(), "team");
}

TEST(Wire, TokensArriveInOrderAndUnknownAttemptsAreNamedOnce) {
  pb::TokenBatch batch;
  const auto add = [&batch](const char* id, std::uint32_t index, pb::Finish finish, std::uint32_t code = 0) {
    pb::TokenEvent& event = *batch.add_events();
    event.set_request_id(id);
    event.set_index(index);
    event.set_token(100 + index);
    event.set_finish(finish);
    event.set_code(code);
    event.set_cached_tokens(index == 0 ? 64 : 0);
  };
  add("a", 0, pb::FINISH_NONE);
  add("gone", 5, pb::FINISH_NONE);
  add("a", 1, pb::FINISH_LENGTH);
  add("gone", 6, pb::FINISH_STOP);
  add("b", 0, pb::FINISH_ERROR, static_cast<std::uint32_t>(Code::kCorrupt));
  add("b", 0, pb::FINISH_ERROR, 0);
  std::vector<TokenArrival> seen;
  std::vector<std::uint32_t> cached;
  const auto reply = receive_tokens(batch.SerializeAsString(),
                                    [&](const std::string& id, const TokenArrival& arrival, std::uint32_t tokens) {
                                      if (id == "gone") return false;
                                      seen.push_back(arrival);
                                      cached.push_back(tokens);
                                      return true;
                                    });
  ASSERT_TRUE(reply.ok());
  pb::TokenBatchReply wire;
  ASSERT_TRUE(wire.ParseFromString(*reply));
  ASSERT_EQ(wire.unknown_size(), 1);
  EXPECT_EQ(wire.unknown(0), "gone");
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_EQ(seen[0].kind, TokenArrival::Kind::kToken);
  EXPECT_EQ(seen[0].token, 100);
  EXPECT_EQ(cached[0], 64u);
  EXPECT_EQ(seen[1].kind, TokenArrival::Kind::kLastToken);
  EXPECT_EQ(seen[2].error.code(), Code::kCorrupt);
  EXPECT_EQ(seen[3].error.code(), Code::kInternal) << "an error without a code is an error all the same";
}

TEST(Wire, BytesThatAreNoBatchAreRefused) {
  const auto reply = receive_tokens("\xff\xff\xff", [](const auto&, const auto&, auto) { return true; });
  EXPECT_EQ(reply.status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace mooncake::serve
