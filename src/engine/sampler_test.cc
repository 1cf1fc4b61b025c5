#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <vector>

namespace mooncake::engine {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(Sampler, GreedyTakesTheLowestIdAmongEqualMaxima) {
  const std::vector<float> logits = {1, 5, 3, 5, 5};
  EXPECT_EQ(sample(logits, 0, 1, 0, 0, 0), 1);
  EXPECT_EQ(sample(logits, -1, 1, 7, 3, 9), 1);
}

TEST(Sampler, ADrawDependsOnSeedChoiceAndPositionOnly) {
  const std::vector<float> logits(1000, 0.5f);
  const Token first = sample(logits, 1, 1, 42, 0, 10);
  EXPECT_EQ(sample(logits, 1, 1, 42, 0, 10), first);
  std::set<Token> others;
  for (std::uint32_t i = 1; i <= 20; ++i) {
    others.insert(sample(logits, 1, 1, 42 + i, 0, 10));
    others.insert(sample(logits, 1, 1, 42, i, 10));
    others.insert(sample(logits, 1, 1, 42, 0, 10 + i));
  }
  EXPECT_GT(others.size(), 50u) << "60 draws from 1,000 equal tokens hardly ever collide";
}

TEST(Sampler, FrequenciesFollowTheSoftmax) {
  const std::vector<float> logits = {std::log(1.0f), std::log(2.0f), std::log(7.0f)};
  std::vector<int> count(3);
  for (std::uint32_t position = 0; position < 10'000; ++position) ++count[sample(logits, 1, 1, 1, 0, position)];
  EXPECT_NEAR(count[0], 1'000, 120);  // four standard deviations of a binomial with p = 0.1 are 120
  EXPECT_NEAR(count[1], 2'000, 160);
  EXPECT_NEAR(count[2], 7'000, 184);
}

TEST(Sampler, LowTemperatureSharpensAndHighTemperatureFlattens) {
  const std::vector<float> logits = {0, 1};
  int cold = 0;
  int hot = 0;
  for (std::uint32_t position = 0; position < 1'000; ++position) {
    cold += sample(logits, 0.1f, 1, 5, 0, position);
    hot += sample(logits, 100, 1, 5, 0, position);
  }
  EXPECT_GT(cold, 995);
  EXPECT_NEAR(hot, 500, 70);
}

TEST(Sampler, TopPKeepsTheSmallestSetThatHoldsTheShare) {
  const std::vector<float> logits = {std::log(0.1f), std::log(0.5f), std::log(0.3f), std::log(0.1f)};
  std::set<Token> at_70, at_40, at_0;
  for (std::uint32_t position = 0; position < 2'000; ++position) {
    at_70.insert(sample(logits, 1, 0.7f, 3, 0, position));
    at_40.insert(sample(logits, 1, 0.4f, 3, 0, position));
    at_0.insert(sample(logits, 1, 0, 3, 0, position));
  }
  EXPECT_EQ(at_70, (std::set<Token>{1, 2}));
  EXPECT_EQ(at_40, (std::set<Token>{1}));
  EXPECT_EQ(at_0, (std::set<Token>{1}));
}

TEST(Sampler, NonsenseLogitsGiveAToken) {
  EXPECT_EQ(sample(std::vector<float>{kNan, 2, kNan}, 0, 1, 0, 0, 0), 1);
  EXPECT_EQ(sample(std::vector<float>{kNan, 2, kNan}, 1, 0.5f, 0, 0, 0), 1);
  EXPECT_EQ(sample(std::vector<float>{kNan, kNan}, 1, 1, 0, 0, 0), 0);
  EXPECT_EQ(sample(std::vector<float>{0, kInfinity}, 1, 1, 0, 0, 0), 1);
  EXPECT_EQ(sample(std::vector<float>{-kInfinity, 0}, kNan, 1, 0, 0, 0), 1);
}

}  // namespace
}  // namespace mooncake::engine
