#include "serve/worker/protocol.h"

#include <gtest/gtest.h>

#include <limits>

#include "proto/serve.pb.h"

namespace mooncake::serve {
namespace {

const ProtocolLimits kLimits{"abcd", 1000, 256, 64};

pb::PrefillRequest good_prefill() {
  pb::PrefillRequest request;
  request.set_request_id("r1");
  for (int i = 0; i < 100; ++i) request.add_tokens(65);
  request.mutable_sampling()->set_tokens_max(10);
  request.mutable_sampling()->set_top_p(1);
  request.set_gateway("127.0.0.1:1");
  request.set_decode("127.0.0.1:2");
  request.set_deadline_ms(1000);
  request.set_model("abcd");
  return request;
}

Code code_of(const pb::PrefillRequest& request) {
  return parse_prefill(request.SerializeAsString(), kLimits).status().code();
}

TEST(Protocol, AGoodPrefillRequestPasses) {
  const auto call = parse_prefill(good_prefill().SerializeAsString(), kLimits);
  ASSERT_TRUE(call.ok()) << call.status().to_string();
  EXPECT_EQ(call->tokens.size(), 100u);
  EXPECT_EQ(call->answer.tokens_max, 10u);
  EXPECT_FALSE(call->reuse_blocks_max) << "without a limit all that is cached is reused";
  auto limited = good_prefill();
  limited.set_reuse_blocks_max(0);
  EXPECT_EQ(parse_prefill(limited.SerializeAsString(), kLimits)->reuse_blocks_max, 0u);
}

TEST(Protocol, APrefillRequestSaysWhoseItIs) {
  auto request = good_prefill();
  auto call = parse_prefill(request.SerializeAsString(), kLimits);
  EXPECT_EQ(call->tenant.id, conductor::kNoTenant);
  EXPECT_EQ(call->tenant.weight, 1u) << "where nothing is said";
  request.set_tenant(77);
  request.set_tenant_weight(conductor::kTenantWeightMax);
  request.set_cache_salt("team");
  call = parse_prefill(request.SerializeAsString(), kLimits);
  ASSERT_TRUE(call.ok());
  EXPECT_EQ(call->tenant.id, conductor::TenantId{77});
  EXPECT_EQ(call->tenant.weight, conductor::kTenantWeightMax);
  EXPECT_EQ(call->cache_salt, "team");
  request.set_tenant_weight(conductor::kTenantWeightMax + 1);
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);
  request = good_prefill();
  request.set_cache_salt(std::string(kTenantNameBytesMax + 1, 'x'));
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);
}

TEST(Protocol, NonsenseIsRefusedWithATypedError) {
  EXPECT_EQ(parse_prefill("\xff\xff\xff", kLimits).status().code(), Code::kInvalidArgument);
  auto request = good_prefill();
  request.set_request_id(std::string(kRequestIdBytesMax + 1, 'x'));
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);
  request = good_prefill();
  request.set_model("ef");
  EXPECT_EQ(code_of(request), Code::kUnsupported);
  request = good_prefill();
  request.clear_tokens();
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);
  request = good_prefill();
  request.set_tokens(3, 256);
  EXPECT_EQ(code_of(request), Code::kInvalidArgument) << "beyond the vocabulary";
  request = good_prefill();
  request.mutable_sampling()->set_temperature(std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);
  request = good_prefill();
  request.mutable_sampling()->set_tokens_max(0);
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);
  request = good_prefill();
  request.set_deadline_ms(0);
  EXPECT_EQ(code_of(request), Code::kDeadlineExceeded);
  request = good_prefill();
  request.clear_decode();
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);
  request = good_prefill();
  for (int i = 0; i < 10; ++i) request.add_emitted(65);
  EXPECT_EQ(code_of(request), Code::kInvalidArgument) << "the answer is complete";
}

TEST(Protocol, APromptMustLeaveRoomForAnAnswerAndTheAnswerIsCutToTheContext) {
  auto request = good_prefill();
  request.mutable_sampling()->set_tokens_max(1'000'000);
  const auto call = parse_prefill(request.SerializeAsString(), kLimits);
  ASSERT_TRUE(call.ok());
  EXPECT_EQ(call->answer.tokens_max, 900u);
  for (int i = 0; i < 900; ++i) request.add_tokens(65);
  EXPECT_EQ(code_of(request), Code::kOutOfRange);
}

TEST(Protocol, TimesWithoutEndAreCut) {
  auto request = good_prefill();
  request.set_deadline_ms(std::numeric_limits<std::int64_t>::max());
  request.set_predicted_ms(1e300);
  const auto call = parse_prefill(request.SerializeAsString(), kLimits);
  ASSERT_TRUE(call.ok());
  EXPECT_EQ(call->deadline_ms, kWireTimeMsMax);
  EXPECT_EQ(call->predicted_ms, kWireTimeMsMax);
  request.set_predicted_ms(std::numeric_limits<double>::infinity());
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);
}

TEST(Protocol, AJoinSurvivesTheWireAndNamesEveryBlock) {
  JoinCall call;
  call.id = "r1";
  call.tokens.assign(100, 65);
  call.answer = {.temperature = 0.5, .top_p = 0.9F, .seed = 7, .choice = 1, .tokens_max = 10, .ignore_end = true};
  call.gateway = "127.0.0.1:1";
  call.first_token = 66;
  call.emitted = {66, 67};
  call.block_crc32c = {1, 2};
  call.deadline_ms = 500;
  call.cache_salt = "team";
  const auto parsed = parse_join(encode(call), kLimits);
  ASSERT_TRUE(parsed.ok()) << parsed.status().to_string();
  EXPECT_EQ(parsed->tokens, call.tokens);
  EXPECT_EQ(parsed->emitted, call.emitted);
  EXPECT_EQ(parsed->block_crc32c, call.block_crc32c);
  EXPECT_EQ(parsed->answer.seed, 7u);
  EXPECT_TRUE(parsed->answer.ignore_end);
  EXPECT_EQ(parsed->cache_salt, "team");

  call.block_crc32c = {1};
  EXPECT_EQ(parse_join(encode(call), kLimits).status().code(), Code::kInvalidArgument);
}

TEST(Protocol, AnErrorTextCannotSpoilABatch) {
  const std::vector<TokenEvent> events{{.id = "r1",
                                        .index = 3,
                                        .token = 0,
                                        .finish = FinishReason::kError,
                                        .error = Status(Code::kCorrupt, "bad \xff bytes" + std::string(10'000, 'x')),
                                        .cached_tokens = 0}};
  pb::TokenBatch batch;
  ASSERT_TRUE(batch.ParseFromString(encode(events)));
  EXPECT_EQ(batch.events(0).code(), static_cast<std::uint32_t>(Code::kCorrupt));
  EXPECT_EQ(batch.events(0).message().size(), kEventMessageBytesMax);
  EXPECT_EQ(batch.events(0).finish(), pb::FINISH_ERROR);
}

}  // namespace
}  // namespace mooncake::serve
