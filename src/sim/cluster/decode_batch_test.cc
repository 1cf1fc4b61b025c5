#include "sim/cluster/decode_batch.h"

#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"
#include "kvcache/slo.h"

namespace mooncake::sim {
namespace {

/// A step takes 10 ms, 1 ms a sequence, and 1 us a token of context.
kvcache::CostProfile plain_profile() {
  kvcache::CostProfile profile;
  profile.step_fixed_ms = 10;
  profile.step_ms_per_sequence = 1;
  profile.step_ms_per_context_token = 0.001;
  return profile;
}

class DecodeBatchTest : public testing::Test {
 protected:
  static Instant at_us(std::int64_t us) { return Instant(Micros(us)); }
  std::unique_ptr<kvcache::CostModel> cost_ = kvcache::make_cost_model(plain_profile());
  DecodeBatch batch_{*cost_, 0};
};

TEST_F(DecodeBatchTest, StepsOfOneGrowWithItsContext) {
  EXPECT_EQ(batch_.boundary(at_us(7)), at_us(7)) << "nobody is here: anybody joins at once";
  EXPECT_EQ(batch_.next_end(), std::nullopt);
  EXPECT_TRUE(batch_.advance(at_us(100)).empty());
  batch_.join({.request = 5, .steps = 3, .context = 100, .previous_token = at_us(40)});
  // Steps of 11,100, 11,101 and 11,102 us.
  EXPECT_EQ(batch_.boundary(at_us(101)), at_us(11'200));
  EXPECT_EQ(batch_.boundary(at_us(11'200)), at_us(11'200)) << "who comes with the end of a step is in time";
  EXPECT_EQ(batch_.boundary(at_us(11'201)), at_us(22'301));
  ASSERT_EQ(batch_.next_end(), at_us(33'403));
  const auto ended = batch_.advance(at_us(33'403));
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].request, 5u);
  EXPECT_EQ(ended[0].tbt, Micros(11'160)) << "the longest of three gaps: the first, with the wait for its start";
  EXPECT_EQ(batch_.size(), 0u);
}

TEST_F(DecodeBatchTest, NewcomersSlowTheOthers) {
  (void)batch_.advance(at_us(0));
  batch_.join({.request = 1, .steps = 4, .context = 1000, .previous_token = at_us(0)});
  EXPECT_TRUE(batch_.advance(at_us(12'000)).empty()) << "the first of 12,000 us";
  batch_.join({.request = 2, .steps = 2, .context = 2000, .previous_token = at_us(11'000)});
  // Two sequences with 1,001 and 2,000 tokens: 15,001 us, then 15,003.
  const auto both = batch_.next_end();
  ASSERT_EQ(both, at_us(12'000 + 15'001 + 15'003));
  const auto ended = batch_.advance(*both);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].tbt, Micros(16'001));
  EXPECT_EQ(batch_.next_end(), *both + Micros(12'003));
}

TEST_F(DecodeBatchTest, APauseIsInTheNextGapOfThoseWhoWereThere) {
  (void)batch_.advance(at_us(0));
  batch_.join({.request = 1, .steps = 2, .context = 1000, .previous_token = at_us(0)});
  EXPECT_TRUE(batch_.advance(at_us(12'000)).empty());
  batch_.pause(Millis(500));
  batch_.join({.request = 2, .steps = 1, .context = 2000, .previous_token = at_us(512'000)});
  batch_.pause(Millis(100));
  ASSERT_EQ(batch_.next_end(), at_us(612'000 + 15'001));
  std::map<std::uint32_t, Nanos> tbt;
  for (const auto& ended : batch_.advance(at_us(627'001))) tbt[ended.request] = ended.tbt;
  EXPECT_EQ(tbt.at(1), Micros(600'000 + 15'001)) << "both pauses";
  EXPECT_EQ(tbt.at(2), Micros(100'000 + 15'001)) << "the second alone";
}

TEST_F(DecodeBatchTest, WhoIsGivenUpHasTheTokensOfStepsThatEnded) {
  (void)batch_.advance(at_us(100));
  batch_.join({.request = 5, .steps = 30, .context = 100, .previous_token = at_us(40), .gaps = {Micros(7)}});
  // Steps end at 11,200 and 22,301 us; then another comes, and steps of 14,202 and 14,204 us.
  EXPECT_TRUE(batch_.advance(at_us(22'301)).empty());
  batch_.join({.request = 6, .steps = 9, .context = 2100, .previous_token = at_us(22'000)});
  const auto given_up = batch_.give_up(at_us(22'301 + 14'202 + 14'203));
  ASSERT_EQ(given_up.size(), 2u);
  EXPECT_EQ(given_up[0].request, 5u);
  EXPECT_EQ(given_up[0].steps, 3u);
  EXPECT_EQ(given_up[0].previous_token, at_us(22'301 + 14'202));
  EXPECT_EQ(given_up[0].gaps, (std::vector<Nanos>{Micros(7), Micros(11'160), Micros(11'101), Micros(14'202)}));
  EXPECT_EQ(given_up[1].steps, 1u);
  EXPECT_EQ(given_up[1].gaps, (std::vector<Nanos>{Micros(301 + 14'202)}));
  EXPECT_EQ(batch_.size(), 0u);
  EXPECT_EQ(batch_.next_end(), std::nullopt);
}

TEST_F(DecodeBatchTest, AStepThatEndsWithTheFailureHasEndedAndWithinTheFirstNobodyGotAToken) {
  for (const bool ended : {true, false}) {
    (void)batch_.advance(at_us(0));
    batch_.join({.request = 1, .steps = 5, .context = 1000, .previous_token = at_us(0)});
    const auto given_up = batch_.give_up(at_us(ended ? 12'000 : 11'999));
    ASSERT_EQ(given_up.size(), 1u);
    EXPECT_EQ(given_up[0].steps, ended ? 1u : 0u);
    EXPECT_EQ(given_up[0].previous_token, at_us(ended ? 12'000 : 0));
    EXPECT_EQ(given_up[0].gaps.size(), ended ? 1u : 0u);
  }
}

// Twin: step by step, with a list of gaps for everybody. Now and then everybody is given up in the middle of a step,
// and joins again.
TEST_F(DecodeBatchTest, EqualsATwinThatTakesStepByStep) {
  struct Twin {
    std::uint32_t left = 0;
    std::uint64_t context = 0;
    std::vector<Nanos> gaps;
    Instant previous{};
  };
  Rng rng(5);
  std::map<std::uint32_t, Twin> twins;
  std::map<std::uint32_t, Nanos> expected;
  std::map<std::uint32_t, Nanos> got;
  (void)batch_.advance(at_us(0));
  Instant now = at_us(0);
  std::uint32_t joined = 0;
  std::uint32_t failures = 0;
  while (joined < 300 || !twins.empty()) {
    // The twin's step.
    std::uint64_t context = 0;
    for (const auto& [request, twin] : twins) context += twin.context;
    const Nanos took =
        twins.empty() ? Nanos(Millis(5)) : cost_->tbt(0, static_cast<std::uint32_t>(twins.size()), context);
    if (!twins.empty() && rng.below(100) == 0) {  // the step under way is lost
      now += took / 3;
      std::map<std::uint32_t, DecodeBatch::GivenUp> given_up;
      for (auto& one : batch_.give_up(now)) given_up[one.request] = std::move(one);
      ASSERT_EQ(given_up.size(), twins.size());
      now += Millis(7);
      (void)batch_.advance(now);
      for (const auto& [request, twin] : twins) {
        DecodeBatch::GivenUp& one = given_up.at(request);
        ASSERT_EQ(one.gaps.size(), twin.gaps.size());
        EXPECT_LE(std::chrono::abs(one.previous_token - twin.previous), Micros(1));
        batch_.join({.request = request,
                     .steps = twin.left,
                     .context = twin.context,
                     .previous_token = one.previous_token,
                     .gaps = std::move(one.gaps)});
      }
      ++failures;
      continue;
    }
    now += took;
    for (auto at = twins.begin(); at != twins.end();) {
      auto& [request, twin] = *at;
      twin.gaps.push_back(now - twin.previous);
      twin.previous = now;
      ++twin.context;
      const bool ends = --twin.left == 0;
      if (ends) expected[request] = kvcache::request_tbt(twin.gaps);
      at = ends ? twins.erase(at) : std::next(at);
    }
    const bool joins = joined < 300 && rng.below(10) == 0;
    const auto end = batch_.next_end();
    const bool ends = end && *end <= now + Micros(1);
    if (!joins && !ends) continue;
    const Instant boundary = ends ? *end : batch_.boundary(now - Micros(1));
    ASSERT_LE(std::chrono::abs(boundary - now), Micros(1)) << "rounding adds up to less than a microsecond";
    now = boundary;
    for (const auto& done : batch_.advance(boundary)) got[done.request] = done.tbt;
    ASSERT_EQ(batch_.size(), twins.size());
    if (!joins) continue;
    const DecodeBatch::Member member{.request = joined++,
                                     .steps = static_cast<std::uint32_t>(1 + rng.below(200)),
                                     .context = 1 + rng.below(50'000),
                                     .previous_token = now - Micros(rng.below(100'000))};
    batch_.join(member);
    twins[member.request] = {
        .left = member.steps, .context = member.context, .gaps = {}, .previous = member.previous_token};
  }
  ASSERT_EQ(got.size(), 300u);
  EXPECT_GT(failures, 10u);
  for (const auto& [request, tbt] : expected) EXPECT_LE(std::chrono::abs(got.at(request) - tbt), Micros(1)) << request;
}

}  // namespace
}  // namespace mooncake::sim
