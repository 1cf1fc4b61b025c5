#include "conductor/elastic_roles.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace mooncake::conductor {
namespace {

/// Pools that serve so many requests an instance and second in time. Of what comes beyond that, each breaks the
/// objective of that pool.
struct Pools {
  PoolSizes sizes;
  double arrivals = 0;     // a second
  double per_prefill = 1;  // requests a second that one instance serves in time
  double per_decode = 1;
  ElasticRoles roles{};
  Rng rng{1};
  Instant now{};
  std::uint32_t changes = 0;

  void run(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      now += Seconds(1);
      for (int request = 0; request < arrivals; ++request) {
        roles.judged(rng.uniform() > sizes.prefill * per_prefill / arrivals,
                     rng.uniform() > sizes.decode * per_decode / arrivals);
      }
      const auto change = roles.tick(sizes, now);
      if (!change) continue;
      ++changes;
      (change->giver == Role::kPrefill ? sizes.prefill : sizes.decode) -= change->instances;
      (change->giver == Role::kPrefill ? sizes.decode : sizes.prefill) += change->instances;
    }
  }
  [[nodiscard]] double served() const {
    return std::min({1.0, sizes.prefill * per_prefill / arrivals, sizes.decode * per_decode / arrivals});
  }
};

TEST(ElasticRoles, ThePoolThatBreaksItsObjectiveGetsInstances) {
  Pools pools{.sizes = {.prefill = 12, .decode = 4}, .arrivals = 15, .per_prefill = 2, .per_decode = 2};
  EXPECT_LT(pools.served(), 0.6);
  pools.run(900);
  EXPECT_GT(pools.served(), 0.9);
  EXPECT_EQ(pools.sizes.prefill + pools.sizes.decode, 16u);
  pools.per_prefill = 1.2;
  pools.per_decode = 5;
  pools.run(1800);
  EXPECT_GT(pools.served(), 0.9);
}

TEST(ElasticRoles, WhereNobodyMissesAnObjectiveNothingChanges) {
  Pools pools{.sizes = {.prefill = 15, .decode = 1}, .arrivals = 10, .per_prefill = 1, .per_decode = 10};
  pools.run(3600);
  EXPECT_EQ(pools.changes, 0u);
}

TEST(ElasticRoles, PoolsThatAreOverrunAlikeKeepTheirInstances) {
  Pools pools{.sizes = {.prefill = 8, .decode = 8}, .arrivals = 80, .per_prefill = 2, .per_decode = 2};
  pools.run(3600);
  EXPECT_EQ(pools.changes, 0u);
}

TEST(ElasticRoles, TheLastInstanceOfARoleStays) {
  Pools pools{.sizes = {.prefill = 3, .decode = 1}, .arrivals = 100, .per_prefill = 100, .per_decode = 1};
  pools.run(3600);
  EXPECT_EQ(pools.sizes.prefill, 1u);
}

TEST(ElasticRoles, AFewRequestsSayNothing) {
  Pools pools{.sizes = {.prefill = 8, .decode = 8}, .arrivals = 0};
  pools.run(100);  // beyond the first dwell
  for (int i = 0; i < 19; ++i) pools.roles.judged(true, false);
  pools.run(1);
  EXPECT_EQ(pools.changes, 0u);
  for (int i = 0; i < 3; ++i) pools.roles.judged(true, false);
  pools.run(1);
  EXPECT_EQ(pools.changes, 1u);
}

TEST(ElasticRoles, ALargePoolGivesSeveralAtOnceButNoMoreThanItsShare) {
  Pools pools{.sizes = {.prefill = 800, .decode = 200}, .arrivals = 1000, .per_prefill = 10, .per_decode = 2};
  pools.run(119);
  EXPECT_EQ(pools.changes, 1u);
  EXPECT_NEAR(pools.sizes.prefill, 740, 2) << "six of ten requests break the objective: 0.6 x 0.125 x 800";
  pools.run(3600);
  EXPECT_GT(pools.served(), 0.94);
}

TEST(ElasticRoles, AChangeComesADwellAfterTheLastOneHasDrained) {
  Pools pools{.sizes = {.prefill = 15, .decode = 1}, .arrivals = 50, .per_prefill = 50, .per_decode = 5};
  pools.run(119);
  EXPECT_EQ(pools.changes, 1u);
  pools.sizes.draining = 1;
  pools.run(100);
  EXPECT_EQ(pools.changes, 1u);
  pools.sizes.draining = 0;
  pools.run(59);
  EXPECT_EQ(pools.changes, 1u) << "what it brings is only seen now";
  pools.run(1);
  EXPECT_EQ(pools.changes, 2u);
}

TEST(ElasticRoles, WhatWasCountedWhileNobodyTickedDoesNotCount) {
  Pools pools{.sizes = {.prefill = 8, .decode = 8}, .arrivals = 1, .per_prefill = 1, .per_decode = 1};
  const auto break_many = [&] {
    for (int i = 0; i < 100'000; ++i) pools.roles.judged(true, false);
  };
  break_many();
  pools.run(100);
  EXPECT_EQ(pools.changes, 0u) << "before the first tick";
  pools.now += 2 * kDwell;
  break_many();
  pools.run(100);
  EXPECT_EQ(pools.changes, 0u) << "while another owner ticked";
}

}  // namespace
}  // namespace mooncake::conductor
