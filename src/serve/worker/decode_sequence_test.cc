#include "serve/worker/decode_sequence.h"

#include <gtest/gtest.h>

#include <numeric>

#include "serve/worker/landing.h"

namespace mooncake::serve {
namespace {

constexpr std::uint32_t kBlockTokens = 64;

JoinCall call_of(std::uint32_t prompt_tokens, std::uint32_t tokens_max) {
  JoinCall call;
  call.tokens.resize(prompt_tokens);
  std::iota(call.tokens.begin(), call.tokens.end(), 0);
  call.answer.tokens_max = tokens_max;
  return call;
}

DecodeSequence sequence_of(std::uint32_t prompt_tokens, std::vector<engine::Token> answer, std::uint32_t imported,
                           std::uint32_t tokens_max = 100) {
  return {conductor::RequestNumber{1}, call_of(prompt_tokens, tokens_max), std::move(answer), imported, kBlockTokens};
}

TEST(DecodeSequence, ANewOneFeedsTheFirstTokenAndChoosesTheSecond) {
  DecodeSequence sequence = sequence_of(100, {7}, 100);
  EXPECT_EQ(sequence.position(), 100u);
  EXPECT_EQ(sequence.next_token(), 7);
  EXPECT_TRUE(sequence.wants_logits());
  EXPECT_EQ(sequence.answer_index(), 1u);
}

TEST(DecodeSequence, ARecoveredOneReplaysUntilTheLastKnownTokenAndThenChooses) {
  DecodeSequence sequence = sequence_of(100, {7, 8, 9}, 100);
  for (const engine::Token replayed : {7, 8}) {
    EXPECT_EQ(sequence.next_token(), replayed);
    EXPECT_FALSE(sequence.wants_logits());
    sequence.advance();
  }
  EXPECT_EQ(sequence.next_token(), 9);
  EXPECT_TRUE(sequence.wants_logits());
  EXPECT_EQ(sequence.answer_index(), 3u);
}

TEST(DecodeSequence, ARecoveredOneGoesOnBehindTheBlocksThatWereFetched) {
  const std::vector<engine::Token> answer(60, 5);
  DecodeSequence sequence = sequence_of(100, answer, 128);
  EXPECT_EQ(sequence.position(), 128u);
  EXPECT_FALSE(sequence.wants_logits());
}

TEST(DecodeSequence, TheBlockWithThePromptsTailIsCompletedByDecode) {
  DecodeSequence sequence = sequence_of(126, {7}, 126);
  EXPECT_EQ(sequence.block_completed_next(), std::nullopt);
  sequence.advance();
  EXPECT_EQ(sequence.append(8, false), FinishReason::kNone);
  EXPECT_EQ(sequence.block_completed_next(), 1u);

  const kvcache::KeyScope scope{{1, 2}, "", ""};
  std::vector<engine::Token> tokens = call_of(126, 1).tokens;
  tokens.push_back(7);
  tokens.push_back(8);
  EXPECT_EQ(sequence.block_key(scope, 1), kvcache::block_keys(scope, tokens, kBlockTokens)[1]);
}

TEST(DecodeSequence, EndsAtTheEndTokenUnlessToldToIgnoreIt) {
  DecodeSequence sequence = sequence_of(10, {7}, 10);
  EXPECT_EQ(sequence.append(2, true), FinishReason::kStop);

  JoinCall call = call_of(10, 100);
  call.answer.ignore_end = true;
  DecodeSequence ignoring(conductor::RequestNumber{1}, call, {7}, 10, kBlockTokens);
  EXPECT_EQ(ignoring.append(2, true), FinishReason::kNone);
}

TEST(DecodeSequence, EndsWhenTheAnswerIsLongEnough) {
  DecodeSequence sequence = sequence_of(10, {7}, 10, /*tokens_max=*/3);
  EXPECT_EQ(sequence.append(8, false), FinishReason::kNone);
  EXPECT_EQ(sequence.append(9, false), FinishReason::kLength);
}

TEST(GeneratedBlocks, CountsOnlyBlocksWhoseLastTokenHadBeenFed) {
  // 100 prompt tokens: block 1 is completed by answer token 27 (position 127), which is fed after it was sent.
  EXPECT_EQ(generated_blocks(100, 0, kBlockTokens), 0u);
  EXPECT_EQ(generated_blocks(100, 1, kBlockTokens), 0u);
  EXPECT_EQ(generated_blocks(100, 28, kBlockTokens), 0u);
  EXPECT_EQ(generated_blocks(100, 29, kBlockTokens), 1u);
  EXPECT_EQ(generated_blocks(128, 65, kBlockTokens), 1u);
  EXPECT_EQ(generated_blocks(128, 64, kBlockTokens), 0u);
}

}  // namespace
}  // namespace mooncake::serve
