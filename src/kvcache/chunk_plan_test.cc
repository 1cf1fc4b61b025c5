#include "kvcache/chunk_plan.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/rng.h"

namespace mooncake::kvcache {
namespace {

using Chunks = std::vector<std::uint32_t>;

void expect_lawful(std::uint32_t prompt, std::uint32_t cached, std::uint32_t chunk_tokens, std::uint32_t block) {
  const ChunkPlan plan = plan_chunks(prompt, cached, chunk_tokens, block);
  SCOPED_TRACE(::testing::Message() << "prompt " << prompt << ", cached " << cached << ", chunk " << chunk_tokens
                                    << ", block " << block);
  EXPECT_EQ(std::accumulate(plan.chunks.begin(), plan.chunks.end(), plan.start), prompt);
  EXPECT_EQ(plan.import_tokens % block, 0u);
  EXPECT_LE(plan.start, plan.import_tokens);
  EXPECT_LT(plan.import_tokens, plan.start + block) << "imports nothing that is truncated away again";
  EXPECT_LE(plan.import_tokens, cached);
  EXPECT_EQ(plan.chunks.empty(), prompt == 0) << "the last token is always computed";
  for (const std::uint32_t chunk : plan.chunks) {
    EXPECT_GE(chunk, std::min(kChunkTokensMin, prompt));
    EXPECT_LE(chunk, std::max(chunk_tokens, kChunkTokensMin) + kChunkTokensMin - 1);
  }
  EXPECT_EQ(plan.start, reusable_tokens(prompt, cached, block));
}

TEST(ChunkPlan, ColdPromptIsCutIntoEqualChunks) {
  const ChunkPlan plan = plan_chunks(1536, 0, 512, 64);
  EXPECT_EQ(plan.import_tokens, 0u);
  EXPECT_EQ(plan.start, 0u);
  EXPECT_EQ(plan.chunks, (Chunks{512, 512, 512}));
}

TEST(ChunkPlan, ColdRemainderBelowTheMinimumJoinsTheChunkBefore) {
  EXPECT_EQ(plan_chunks(1024 + 63, 0, 512, 64).chunks, (Chunks{512, 575}));
  EXPECT_EQ(plan_chunks(1024 + 64, 0, 512, 64).chunks, (Chunks{512, 512, 64}));
}

TEST(ChunkPlan, ShortPromptIsOneShortChunk) {
  EXPECT_EQ(plan_chunks(1, 0, 512, 64).chunks, (Chunks{1}));
  EXPECT_EQ(plan_chunks(63, 0, 512, 64).chunks, (Chunks{63}));
}

TEST(ChunkPlan, WarmPromptComputesWhatTheBlocksLeave) {
  const ChunkPlan plan = plan_chunks(2000, 1856, 512, 64);
  EXPECT_EQ(plan.import_tokens, 1856u);
  EXPECT_EQ(plan.start, 1856u);
  EXPECT_EQ(plan.chunks, (Chunks{144}));
}

TEST(ChunkPlan, WarmRemainderBelowTheMinimumRecomputesTheLastTokens) {
  const ChunkPlan plan = plan_chunks(2032, 1984, 512, 64);
  EXPECT_EQ(plan.import_tokens, 1984u);
  EXPECT_EQ(plan.start, 1968u) << "truncated after the import";
  EXPECT_EQ(plan.chunks, (Chunks{64}));
}

TEST(ChunkPlan, FullyCachedPromptStillComputesItsEnd) {
  const ChunkPlan plan = plan_chunks(1024, 1024, 512, 64);
  EXPECT_EQ(plan.import_tokens, 960u);
  EXPECT_EQ(plan.start, 960u);
  EXPECT_EQ(plan.chunks, (Chunks{64}));
}

TEST(ChunkPlan, PromptOfOneMinimumReusesNothing) {
  const ChunkPlan plan = plan_chunks(64, 64, 512, 64);
  EXPECT_EQ(plan.import_tokens, 0u);
  EXPECT_EQ(plan.chunks, (Chunks{64}));
}

TEST(ChunkPlan, EngineLimitIsNeverExceeded) {
  for (std::uint32_t limit = 2 * kChunkTokensMin; limit < 700; ++limit) {
    for (std::uint32_t prompt = 1; prompt < 1500; prompt += 7) {
      for (const std::uint32_t chunk : plan_chunks(prompt, 0, chunk_tokens_for(limit), 64).chunks) {
        ASSERT_LE(chunk, limit) << "prompt " << prompt;
      }
    }
  }
}

// Property test: every combination near the edges, then random ones.
TEST(ChunkPlan, LawsHoldForEveryPrompt) {
  for (std::uint32_t prompt = 0; prompt <= 400; ++prompt) {
    for (std::uint32_t cached = 0; cached <= prompt + 64; cached += 16) {
      for (const std::uint32_t chunk : {1u, 64u, 65u, 100u, 128u}) {
        for (const std::uint32_t block : {16u, 64u, 256u}) expect_lawful(prompt, cached, chunk, block);
      }
    }
  }
  Rng rng(1);
  for (int i = 0; i < 20'000; ++i) {
    const auto block = static_cast<std::uint32_t>(1 + rng.below(512));
    const auto prompt = static_cast<std::uint32_t>(rng.below(20'000));
    expect_lawful(prompt, static_cast<std::uint32_t>(rng.below(prompt + 1)),
                  static_cast<std::uint32_t>(1 + rng.below(4096)), block);
  }
}

}  // namespace
}  // namespace mooncake::kvcache
