#include "engine/generate.h"

#include <gtest/gtest.h>

#include "base/crc32c.h"

namespace mooncake::engine {
namespace {

std::unique_ptr<Engine> simulated(std::uint32_t context_tokens) {
  EngineConfig config;
  config.kind = "simulated";
  config.context_tokens = context_tokens;
  config.chunk_tokens = 128;
  return std::move(make_engine(config)).value();
}

std::vector<Token> prompt_of(std::uint32_t count) {
  std::vector<Token> tokens;
  for (std::uint32_t i = 0; i < count; ++i) tokens.push_back(static_cast<Token>(32 + i % 90));
  return tokens;
}

TEST(Generate, GivesTheTokensThatOneStepAtATimeWouldGive) {
  const auto engine = simulated(4096);
  const auto whole = generate(*engine, {.prompt = prompt_of(300), .tokens_max = 20}, {});
  ASSERT_TRUE(whole.ok()) << whole.status().to_string();
  ASSERT_EQ(whole.value().tokens.size(), 20u);
  EXPECT_FALSE(whole.value().ended);
  // The answer's first half, as a longer prompt, must be answered by its second half.
  std::vector<Token> longer = prompt_of(300);
  longer.insert(longer.end(), whole.value().tokens.begin(), whole.value().tokens.begin() + 10);
  const auto half = generate(*engine, {.prompt = longer, .tokens_max = 10}, {});
  ASSERT_TRUE(half.ok());
  EXPECT_TRUE(std::equal(half.value().tokens.begin(), half.value().tokens.end(), whole.value().tokens.begin() + 10));
  EXPECT_EQ(engine->capacity().sequences_open, 0u);
}

TEST(Generate, TellsEachTokenAndEachBlock) {
  const auto engine = simulated(4096);
  std::vector<Token> told;
  std::vector<std::uint32_t> checksums;
  const auto generated = generate(*engine, {.prompt = prompt_of(200), .tokens_max = 5},
                                  {.token = [&](Token token) { told.push_back(token); },
                                   .block =
                                       [&](std::uint32_t index, ConstByteSpan block) {
                                         EXPECT_EQ(index, checksums.size());
                                         EXPECT_EQ(block.size(), engine->layout().block_bytes);
                                         checksums.push_back(crc32c(block));
                                       }});
  ASSERT_TRUE(generated.ok());
  EXPECT_EQ(told, generated.value().tokens);
  ASSERT_EQ(checksums.size(), 4u) << "three whole blocks and a partial one";
  EXPECT_NE(checksums[0], checksums[1]);
}

TEST(Generate, StaysWithinTheContext) {
  const auto engine = simulated(100);
  const auto cut = generate(*engine, {.prompt = prompt_of(97), .tokens_max = 50}, {});
  ASSERT_TRUE(cut.ok());
  EXPECT_EQ(cut.value().tokens.size(), 3u);
  EXPECT_EQ(generate(*engine, {.prompt = prompt_of(100)}, {}).status().code(), Code::kOutOfRange);
  EXPECT_EQ(generate(*engine, {.prompt = {}}, {}).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace mooncake::engine
