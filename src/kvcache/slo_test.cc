#include "kvcache/slo.h"

#include <gtest/gtest.h>

#include <vector>

namespace mooncake::kvcache {
namespace {

TEST(Slo, TbtIsTheMeanOfTheLongestTenthOfTheGaps) {
  std::vector<Nanos> gaps;
  for (int ms = 1; ms <= 20; ++ms) gaps.push_back(Millis(ms));
  EXPECT_EQ(request_tbt(gaps), Micros(19'500)) << "of 20 gaps the two longest, 19 and 20 ms";
  gaps.push_back(Millis(100));
  EXPECT_EQ(request_tbt(gaps), Nanos(Millis(100 + 20 + 19)) / 3) << "a started tenth counts: 21 gaps, three longest";
}

TEST(Slo, FewGapsAreJudgedByTheLongest) {
  EXPECT_EQ(request_tbt({}), Nanos(0));
  const std::vector<Nanos> gaps = {Millis(5), Millis(9), Millis(7)};
  EXPECT_EQ(request_tbt(gaps), Millis(9));
}

TEST(Slo, BothObjectivesMustHold) {
  const Slo slo{.ttft = Millis(100), .tbt = Millis(10)};
  EXPECT_TRUE(meets(slo, Millis(100), Millis(10)));
  EXPECT_FALSE(meets(slo, Millis(101), Millis(10)));
  EXPECT_FALSE(meets(slo, Millis(100), Millis(11)));
}

}  // namespace
}  // namespace mooncake::kvcache
