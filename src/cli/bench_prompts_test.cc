#include "cli/bench_prompts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace mooncake::cli {
namespace {

Result<std::uint32_t> count_bytes(std::string_view text) { return static_cast<std::uint32_t>(text.size()); }
Result<std::uint32_t> count_words(std::string_view text) {
  std::uint32_t words = 0;
  for (std::size_t i = 0; i < text.size(); ++i) words += text[i] != ' ' && (i == 0 || text[i - 1] == ' ');
  return words;
}
// Few tokens: one for every 40 bytes.
Result<std::uint32_t> count_blocks(std::string_view text) { return static_cast<std::uint32_t>(text.size() / 40); }

TEST(BenchPrompts, TextsHaveExactlyTheTokensThatWereAsked) {
  for (const TokenCounter& count : {TokenCounter(count_bytes), TokenCounter(count_words), TokenCounter(count_blocks)}) {
    for (const std::uint32_t tokens : {1u, 2u, 32u, 777u, 2000u}) {
      Rng rng(tokens);
      const auto text = sized_text(tokens, count, rng);
      ASSERT_TRUE(text.ok()) << text.status().message();
      EXPECT_EQ(*count(*text), tokens);
    }
  }
  Rng rng(1);
  EXPECT_EQ(*sized_text(0, count_bytes, rng), "");
}

TEST(BenchPrompts, TextsDifferFromTheirFirstBlockOn) {
  Rng rng(1);
  std::set<std::string> beginnings;
  for (int i = 0; i < 1000; ++i) beginnings.insert(random_text(2000, rng).substr(0, 64));
  EXPECT_EQ(beginnings.size(), 1000u);
  Rng again(1);
  EXPECT_TRUE(beginnings.contains(random_text(64, again))) << "the same seed, the same text";
}

TEST(BenchPrompts, FailureOfTheCounterIsPassedOn) {
  Rng rng(1);
  const auto failed = sized_text(
      10, [](std::string_view) { return Status(Code::kUnavailable, "gone"); }, rng);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.status().code(), Code::kUnavailable);
  const auto never = sized_text(
      10, [](std::string_view) { return Result<std::uint32_t>(3); }, rng);
  ASSERT_FALSE(never.ok());
  EXPECT_EQ(never.status().code(), Code::kInternal);
}

}  // namespace
}  // namespace mooncake::cli
