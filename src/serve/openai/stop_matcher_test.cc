#include "serve/openai/stop_matcher.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace mooncake::serve::openai {
namespace {

TEST(StopMatcher, WithoutStopStringsEverythingPasses) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.push("any text"), "any text");
  EXPECT_EQ(matcher.finish(), "");
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopMatcher, EndsBeforeAStopStringSpreadOverPieces) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.push("the E"), "the ");
  EXPECT_EQ(matcher.push("N"), "");
  EXPECT_EQ(matcher.push("D and more"), "");
  EXPECT_TRUE(matcher.stopped());
  EXPECT_EQ(matcher.push("nothing after it"), "");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcher, ReleasesWhatTurnedOutNotToBeAStopString) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.push("EN"), "");
  EXPECT_EQ(matcher.push("JOY"), "ENJOY");
  EXPECT_EQ(matcher.push("E"), "");
  EXPECT_EQ(matcher.finish(), "E") << "held back to the end and then shown";
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopMatcher, HoldsTheLongestPossibleBeginning) {
  StopMatcher matcher({"aab"});
  EXPECT_EQ(matcher.push("aaa"), "a");
  EXPECT_EQ(matcher.push("b"), "");
  EXPECT_TRUE(matcher.stopped());
}

// The slow twin looks at the text byte by byte: the first stop string that is complete ends it.
std::string slow_twin(const std::vector<std::string>& stops, const std::string& text) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    std::size_t begin = end;
    for (const std::string& stop : stops) {
      if (std::string_view(text).substr(0, end).ends_with(stop)) begin = std::min(begin, end - stop.size());
    }
    if (begin < end) return text.substr(0, begin);
  }
  return text;
}

TEST(StopMatcher, AgreesWithItsSlowTwinHoweverTheTextIsCut) {
  Rng rng(1);
  const auto word = [&rng](std::uint64_t length) {
    std::string text;
    for (; length > 0; --length) text += static_cast<char>('a' + rng.below(3));
    return text;
  };
  for (int round = 0; round < 5000; ++round) {
    std::vector<std::string> stops;
    for (std::uint64_t n = rng.below(4); n > 0; --n) stops.push_back(word(1 + rng.below(4)));
    const std::string text = word(rng.below(16));
    StopMatcher matcher(stops);
    std::string shown;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t size = 1 + rng.below(4);
      shown += matcher.push(std::string_view(text).substr(at, size));
      at += size;
    }
    shown += matcher.finish();
    EXPECT_EQ(shown, slow_twin(stops, text)) << text << " stops: " << testing::PrintToString(stops);
  }
}

}  // namespace
}  // namespace mooncake::serve::openai
