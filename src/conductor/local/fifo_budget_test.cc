#include "conductor/local/fifo_budget.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "base/rng.h"

namespace mooncake::conductor {
namespace {

RequestNumber request(std::uint64_t number) { return RequestNumber{number}; }

TEST(FifoBudget, GrantsInTheOrderOfAsking) {
  FifoBudget budget({.holders_max = 2, .amount_max = 100});
  for (std::uint64_t i = 1; i <= 3; ++i) ASSERT_TRUE(budget.ask(request(i), 10).ok());
  EXPECT_EQ(budget.grant(), request(1));
  EXPECT_EQ(budget.grant(), request(2));
  EXPECT_EQ(budget.grant(), std::nullopt) << "two holders at most";
  EXPECT_TRUE(budget.release(request(1)));
  EXPECT_EQ(budget.grant(), request(3));
}

TEST(FifoBudget, NobodyOvertakesALargeRequest) {
  FifoBudget budget({.holders_max = 10, .amount_max = 100});
  ASSERT_TRUE(budget.ask(request(1), 60).ok());
  ASSERT_TRUE(budget.ask(request(2), 60).ok());
  ASSERT_TRUE(budget.ask(request(3), 1).ok());
  EXPECT_EQ(budget.grant(), request(1));
  EXPECT_EQ(budget.grant(), std::nullopt);
  EXPECT_TRUE(budget.release(request(1)));
  EXPECT_EQ(budget.grant(), request(2));
  EXPECT_EQ(budget.grant(), request(3));
}

TEST(FifoBudget, RefusesWhatCanNeverFit) {
  FifoBudget budget({.holders_max = 1, .amount_max = 100, .waiting_max = 2});
  EXPECT_EQ(budget.ask(request(1), 101).code(), Code::kOutOfRange);
  EXPECT_TRUE(budget.ask(request(1), 100).ok());
  EXPECT_EQ(budget.ask(request(1), 1).code(), Code::kAlreadyExists);
  EXPECT_TRUE(budget.ask(request(2), 1).ok());
  EXPECT_EQ(budget.ask(request(3), 1).code(), Code::kExhausted);
  EXPECT_EQ(budget.grant(), request(1));
  EXPECT_EQ(budget.ask(request(1), 1).code(), Code::kAlreadyExists) << "also when it holds";
}

TEST(FifoBudget, WaiterThatGivesUpLetsTheNextThrough) {
  FifoBudget budget({.holders_max = 10, .amount_max = 100});
  ASSERT_TRUE(budget.ask(request(1), 50).ok());
  ASSERT_TRUE(budget.ask(request(2), 100).ok());
  ASSERT_TRUE(budget.ask(request(3), 50).ok());
  EXPECT_EQ(budget.grant(), request(1));
  EXPECT_EQ(budget.grant(), std::nullopt);
  EXPECT_TRUE(budget.release(request(2)));
  EXPECT_FALSE(budget.release(request(2)));
  EXPECT_EQ(budget.grant(), request(3));
}

// Random asks, grants and releases: what is held always adds up, never exceeds the limits, and comes in order.
TEST(FifoBudget, ConservesTheBudgetOnRandomUse) {
  Rng rng(3);
  FifoBudget budget({.holders_max = 4, .amount_max = 50});
  std::map<std::uint64_t, std::uint64_t> asked;
  std::map<std::uint64_t, std::uint64_t> held;
  std::uint64_t next = 0;
  std::uint64_t granted_last = 0;
  for (int step = 0; step < 10'000; ++step) {
    if (rng.below(2) == 0) {
      const std::uint64_t amount = rng.below(51);
      ASSERT_TRUE(budget.ask(request(++next), amount).ok());
      asked[next] = amount;
    } else if (!held.empty()) {
      ASSERT_TRUE(budget.release(request(held.begin()->first)));
      held.erase(held.begin());
    }
    while (const auto granted = budget.grant()) {
      const auto number = static_cast<std::uint64_t>(*granted);
      ASSERT_GT(number, granted_last);
      granted_last = number;
      held[number] = asked.at(number);
      asked.erase(number);
    }
    std::uint64_t sum = 0;
    for (const auto& [number, amount] : held) sum += amount;
    ASSERT_EQ(budget.amount(), sum);
    ASSERT_LE(sum, 50u);
    ASSERT_LE(held.size(), 4u);
    ASSERT_EQ(budget.holders(), held.size());
    ASSERT_EQ(budget.waiting(), asked.size());
  }
}

}  // namespace
}  // namespace mooncake::conductor
