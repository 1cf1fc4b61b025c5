// Rails here are queues: what is started on one is moved in order, each at the bandwidth that the rail really has. A
// sender keeps a window of slices in flight, as SliceQueue does, and everything happens in virtual time.
#include "transfer/rail/rail_planner.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>

#include "base/rng.h"
#include "transfer/rail/rail_weights.h"

namespace mooncake::transfer {
namespace {

constexpr std::size_t kMiB = 1u << 20;
constexpr RailId kFirst{0};
constexpr RailId kSecond{1};

/// A slice that was begun.
struct Begun {
  RailId rail{};
  std::size_t bytes = 0;
  bool operator==(const Begun&) const = default;
};

/// Cuts the next slice of a request and begins it, as a transport does.
std::optional<Begun> begin(RailPlanner& planner, std::size_t rest, const std::vector<double>& weights, Instant now) {
  const std::size_t bytes = planner.cut(rest, weights, {}, now);
  const Result<RailId> rail = planner.start(bytes, weights, {}, now);
  if (!rail.ok()) {
    EXPECT_EQ(rail.status().code(), Code::kUnavailable);
    return std::nullopt;
  }
  return Begun{*rail, bytes};
}

RailPlanner make_planner(std::size_t rails, const SliceRule& rule = kTcpSlices) {
  return *RailPlanner::create(rails, rule);
}

class Network {
 public:
  Network(const std::vector<double>& bytes_per_s, std::vector<double> weights_in, const SliceRule& rule = kTcpSlices)
      : planner(make_planner(bytes_per_s.size(), rule)), weights(std::move(weights_in)) {
    for (const double each : bytes_per_s) rails.push_back({.bytes_per_s = each});
  }

  /// One endless request with `window` slices in flight, for so long.
  void run(Nanos duration, std::size_t window) {
    const Instant end = now + duration;
    while (true) {
      while (in_flight < window && start()) {
      }
      const auto next = std::ranges::min_element(rails, {}, [](const QueuedRail& rail) {
        return rail.queue.empty() ? Instant::max() : rail.queue.front().done;
      });
      if (next->queue.empty()) return;  // no rail takes anything
      if (next->queue.front().done > end) {
        now = end;
        return;
      }
      finish(*next);
    }
  }

  /// Lets what is in flight arrive.
  void drain() {
    for (QueuedRail& rail : rails) {
      while (!rail.queue.empty()) finish(rail);
    }
  }

  [[nodiscard]] std::vector<double> moved_since(const std::vector<double>& before) const {
    std::vector<double> moved;
    for (std::size_t i = 0; i < rails.size(); ++i) moved.push_back(rails[i].moved - before[i]);
    return moved;
  }
  [[nodiscard]] std::vector<double> moved() const { return moved_since(std::vector<double>(rails.size(), 0)); }

  struct InFlight {
    std::size_t bytes = 0;
    Instant done{};
  };
  struct QueuedRail {
    double bytes_per_s = 0;
    bool broken = false;  ///< slices fail when their turn comes
    double moved = 0;
    std::deque<InFlight> queue{};
  };

  RailPlanner planner;
  std::vector<double> weights;
  std::vector<QueuedRail> rails;
  Instant now = Instant(Seconds(1));
  std::size_t in_flight = 0;
  std::size_t failures = 0;

 private:
  bool start() {
    const auto slice = begin(planner, 64 * kMiB, weights, now);
    if (!slice.has_value()) return false;
    QueuedRail& rail = rails[static_cast<std::size_t>(slice->rail)];
    const Instant begin = rail.queue.empty() ? now : std::max(now, rail.queue.back().done);
    const auto takes = from_ms(1e3 * static_cast<double>(slice->bytes) / rail.bytes_per_s);
    rail.queue.push_back({.bytes = slice->bytes, .done = begin + takes});
    ++in_flight;
    return true;
  }

  void finish(QueuedRail& rail) {
    const RailId id{static_cast<std::uint32_t>(&rail - rails.data())};
    const InFlight slice = rail.queue.front();
    rail.queue.pop_front();
    now = std::max(now, slice.done);
    --in_flight;
    if (rail.broken) {
      ++failures;
      planner.on_failed(id, slice.bytes, now);
    } else {
      rail.moved += static_cast<double>(slice.bytes);
      planner.on_done(id, slice.bytes, now);
    }
  }
};

TEST(RailPlanner, ARailThatIsThreeTimesAsFastGetsThreeTimesTheBytes) {
  Network network({3e9, 1e9}, {1, 1});
  network.run(Seconds(1), 32);
  const std::vector<double> warm = network.moved();
  network.run(Seconds(5), 32);
  const std::vector<double> moved = network.moved_since(warm);
  EXPECT_NEAR(moved[0] / moved[1], 3, 0.1);
  EXPECT_GT(moved[0] + moved[1], 0.97 * 4e9 * 5) << "and both are kept busy";
}

// A request must not wait for its last slice on a slow rail: what is in flight is in proportion to bandwidth as well.
TEST(RailPlanner, WhatIsInFlightIsInProportionToBandwidth) {
  Network network({4e9, 2e9, 1e9, 1e9}, {1, 1, 1, 1});
  network.run(Seconds(3), 64);
  const auto share = [&](std::uint32_t rail) {
    return static_cast<double>(network.planner.bytes_in_flight(RailId{rail}));
  };
  EXPECT_NEAR(share(0) / share(2), 4, 1);
  EXPECT_NEAR(share(1) / share(3), 2, 0.5);
}

TEST(RailPlanner, FindsTheFastRailWhateverThePrior) {
  for (const double scale : {0.01, 1.0, 30.0}) {
    Network network({9e8 * scale, 1e8 * scale}, {1, 1});
    network.run(from_ms(500 / std::min(scale, 1.0)), 64);
    const std::vector<double> warm = network.moved();
    network.run(from_ms(4'000 / std::min(scale, 1.0)), 64);
    const std::vector<double> moved = network.moved_since(warm);
    EXPECT_NEAR(moved[0] / moved[1], 9, 0.9) << scale;
  }
}

TEST(RailPlanner, SlicesTakeAboutTheSameTimeOnEachRail) {
  Network network({2e9, 5e8}, {1, 1});
  network.run(Seconds(2), 16);
  const auto next = [&](const std::vector<double>& only) {
    return static_cast<double>(network.planner.cut(64 * kMiB, only, {}, network.now));
  };
  EXPECT_NEAR(next({1, kNoRail}) / 2e9, 1e-3, 1e-4);
  EXPECT_NEAR(next({kNoRail, 1}) / 5e8, 1e-3, 1e-4);
}

TEST(RailPlanner, ARailThatDiesIsLeftAloneAndComesBack) {
  Network network({1e9, 1e9}, {1, 1});
  network.run(Seconds(2), 16);
  network.rails[1].broken = true;
  network.run(Millis(50), 16);  // what it had in flight
  const std::size_t caught = network.failures;
  EXPECT_GE(caught, 4u);
  network.run(Seconds(14), 16);
  EXPECT_LE(network.failures, caught + 4) << "probes after 1, 2, 4 and 8 s, one slice each";
  EXPECT_GE(network.failures, caught + 3);

  network.rails[1].broken = false;
  network.run(Seconds(17), 16);  // the next probe
  const std::vector<double> back = network.moved();
  network.run(Seconds(2), 16);
  const std::vector<double> moved = network.moved_since(back);
  EXPECT_NEAR(moved[1] / moved[0], 1, 0.05);
}

TEST(RailPlanner, ARailThatWasSlowForAWhileIsTriedAgain) {
  Network network({1e9, 1e9}, {1, 1});
  network.rails[1].bytes_per_s = 1e6;
  network.run(Seconds(10), 16);
  network.rails[1].bytes_per_s = 1e9;
  network.run(Seconds(120), 16);
  const std::vector<double> later = network.moved();
  network.run(Seconds(2), 16);
  const std::vector<double> moved = network.moved_since(later);
  EXPECT_NEAR(moved[1] / moved[0], 1, 0.05);
}

TEST(RailPlanner, AFarRailWaitsUntilTheQueueOfTheNearOneOutweighsIt) {
  RailPlanner planner = make_planner(2);
  const std::vector<double> weights = {1, kSecondaryWeight};
  const Instant now{};
  // Costs in slices: near 1, 2, 3, and at 3 it ties with far at 1 x 3; then far, once.
  for (const RailId expected : {kFirst, kFirst, kFirst, kSecond, kFirst, kFirst, kFirst, kSecond}) {
    EXPECT_EQ(*planner.start(kMiB, weights, {}, now), expected);
  }
}

TEST(RailPlanner, OneSliceAtATimeGoesToTheFastestRail) {
  Network network({1e8, 2e9, 1e9}, {1, 1, 1});
  network.run(Seconds(1), 8);
  network.drain();
  const std::vector<double> warm = network.moved();
  network.run(Seconds(2), 1);
  const std::vector<double> moved = network.moved_since(warm);
  EXPECT_EQ(moved[0] + moved[2], 0);
}

TEST(RailPlanner, AFarRailIsUsedWhenItIsFastEnough) {
  Network network({1e8, 1e9}, {1, kSecondaryWeight});
  network.run(Seconds(1), 8);
  network.drain();
  const std::vector<double> warm = network.moved();
  network.run(Seconds(2), 1);  // one at a time: no queue that could outweigh anything
  const std::vector<double> moved = network.moved_since(warm);
  EXPECT_EQ(moved[0], 0) << "three times the way at ten times the speed";
}

TEST(RailPlanner, AmongEqualsTheLowestRailWins) {
  RailPlanner planner = make_planner(4);
  const std::vector<double> weights(4, 1.0);
  for (int round = 0; round < 3; ++round) {
    for (std::uint32_t rail = 0; rail < 4; ++rail) {
      EXPECT_EQ(*planner.start(kMiB, weights, {}, Instant{}), RailId{rail});
    }
  }
}

TEST(RailPlanner, AFailedSliceGoesToAnotherRailAsLongAsItWas) {
  RailPlanner planner = make_planner(2);
  const std::vector<double> weights = {1, 1};
  const Begun slice = *begin(planner, 10 * kMiB, weights, Instant{});
  EXPECT_EQ(slice, (Begun{.rail = kFirst, .bytes = kMiB}));
  planner.on_failed(slice.rail, slice.bytes, Instant{});
  RailSet failed_on;
  failed_on.set(0);
  // Even where the first has recovered meanwhile.
  EXPECT_EQ(*planner.start(slice.bytes, weights, failed_on, Instant(kCooldownMin)), kSecond);
  EXPECT_EQ(planner.bytes_in_flight(kSecond), slice.bytes);
}

TEST(RailPlanner, SaysThatNoRailIsLeft) {
  RailPlanner planner = make_planner(3);
  const std::vector<double> weights = {1, 1, kNoRail};
  RailSet all;
  all.set();
  const auto excluded = planner.start(kMiB, weights, all, Instant{});
  EXPECT_EQ(excluded.status().code(), Code::kUnavailable);
  EXPECT_THAT(excluded.status().message(),
              testing::HasSubstr("of 3, 2 lead between these memories, the slice failed on 2 of them, and 3 are up"));

  for (int i = 0; i < 2; ++i) {
    planner.on_failed(*planner.start(kMiB, weights, {}, Instant{}), kMiB, Instant{});
  }
  EXPECT_EQ(planner.start(kMiB, weights, {}, Instant{}).status().code(), Code::kUnavailable);
  EXPECT_EQ(planner.cut(64 * kMiB, weights, {}, Instant{}), kTcpSlices.bytes) << "whoever carries it";
  EXPECT_TRUE(planner.start(kMiB, weights, {}, Instant(kCooldownMin)).ok());
  EXPECT_EQ(make_planner(0).start(kMiB, {}, {}, Instant{}).status().code(), Code::kUnavailable);
}

TEST(RailPlanner, AnAbandonedProbeIsFollowedByAnother) {
  RailPlanner planner = make_planner(1);
  const std::vector<double> weights = {1};
  planner.on_failed(*planner.start(kMiB, weights, {}, Instant{}), kMiB, Instant{});
  const Instant probe(kCooldownMin);
  EXPECT_EQ(planner.cut(64 * kMiB, weights, {}, probe), kMiB) << "asking claims no probe";
  EXPECT_TRUE(planner.start(kMiB, weights, {}, probe).ok());
  EXPECT_FALSE(planner.start(kMiB, weights, {}, probe).ok());
  planner.on_abandoned(kFirst, kMiB, probe);
  EXPECT_TRUE(planner.start(kMiB, weights, {}, probe).ok());
}

TEST(RailPlanner, TakesAsManyRailsAsItNames) {
  EXPECT_TRUE(RailPlanner::create(kRailsMax, kRdmaSlices).ok());
  EXPECT_EQ(RailPlanner::create(kRailsMax + 1, kRdmaSlices).status().code(), Code::kExhausted);
}

/// What the planner says it does, as slowly as it can be said: every slice in flight is remembered, and every rail's
/// cost is worked out from them.
struct Twin {
  const RailPlanner& planner;
  SliceRule rule;
  RailMonitor monitor;
  std::multimap<std::uint32_t, std::size_t> live{};

  [[nodiscard]] std::optional<RailId> choice(std::size_t bytes, const std::vector<double>& weights,
                                             const RailSet& excluded, Instant now) const {
    std::multimap<double, std::uint32_t> by_cost;  // equals stay in the order of their rails
    for (std::uint32_t rail = 0; rail < weights.size(); ++rail) {
      if (weights[rail] == kNoRail || excluded.test(rail) || !monitor.can_use(RailId{rail}, now)) continue;
      std::size_t queued = bytes;
      for (auto [at, end] = live.equal_range(rail); at != end; ++at) queued += at->second;
      by_cost.emplace(static_cast<double>(queued) / planner.bytes_per_s(RailId{rail}, now) * weights[rail], rail);
    }
    if (by_cost.empty()) return std::nullopt;
    return RailId{by_cost.begin()->second};
  }

  [[nodiscard]] std::size_t cut(std::size_t rest, const std::vector<double>& weights, const RailSet& excluded,
                                Instant now) const {
    const std::optional<RailId> rail = choice(std::min(rest, rule.bytes), weights, excluded, now);
    return rule.cut(rest, rail ? planner.bytes_per_s(*rail, now) : rule.prior_bytes_per_s());
  }
};

/// One random slice, begun by both.
void start_both(RailPlanner& planner, Twin& twin, Rng& rng, Instant now) {
  std::vector<double> weights(planner.rail_count());
  for (double& weight : weights) weight = static_cast<double>(rng.below(4));  // 0 is kNoRail
  const bool again = rng.below(4) == 0;
  const RailSet excluded = again ? RailSet(rng.next() & rng.next()) : RailSet();
  const std::size_t rest = 1 + rng.below(20 * kMiB);
  const std::size_t bytes = planner.cut(rest, weights, excluded, now);
  ASSERT_EQ(bytes, twin.cut(rest, weights, excluded, now));
  const auto wanted = twin.choice(bytes, weights, excluded, now);
  const Result<RailId> got = planner.start(bytes, weights, excluded, now);
  ASSERT_EQ(got.ok(), wanted.has_value());
  if (!got.ok()) return;
  ASSERT_EQ(*got, *wanted);
  ASSERT_TRUE(twin.monitor.try_use(*got, now));
  twin.live.emplace(static_cast<std::uint32_t>(*got), bytes);
}

/// One random slice in flight ends, for both.
void end_both(RailPlanner& planner, Twin& twin, Rng& rng, Instant now) {
  const auto ends = std::next(twin.live.begin(), static_cast<std::ptrdiff_t>(rng.below(twin.live.size())));
  const RailId rail{ends->first};
  const std::size_t bytes = ends->second;
  twin.live.erase(ends);
  const std::uint64_t how = rng.below(12);
  if (how == 0) {
    planner.on_failed(rail, bytes, now);
    twin.monitor.on_failure(rail, now);
  } else if (how == 1) {
    planner.on_abandoned(rail, bytes, now);
    twin.monitor.on_abandoned(rail, now);
  } else {
    planner.on_done(rail, bytes, now);
    twin.monitor.on_success(rail);
  }
}

TEST(RailPlanner, ChoosesAsItsSlowTwinOnRandomInput) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Rng rng(seed);
    const SliceRule& rule = rng.below(2) == 0 ? kTcpSlices : kRdmaSlices;
    const std::size_t count = 1 + rng.below(12);
    RailPlanner planner = make_planner(count, rule);
    Twin twin{.planner = planner, .rule = rule, .monitor = RailMonitor(static_cast<std::uint32_t>(count))};
    Instant now{};
    for (int step = 0; step < 3'000 && !HasFatalFailure(); ++step) {
      now += Nanos(rng.below(rng.below(50) == 0 ? 3'000'000'000 : 2'000'000));
      if (rng.below(2) == 0 || twin.live.empty()) {
        start_both(planner, twin, rng, now);
      } else {
        end_both(planner, twin, rng, now);
      }
    }
    for (const auto& [rail, bytes] : twin.live) planner.on_done(RailId{rail}, bytes, now);
    for (std::uint32_t rail = 0; rail < count; ++rail) EXPECT_EQ(planner.bytes_in_flight(RailId{rail}), 0u);
  }
}

TEST(RailPlanner, BytesInFlightReturnToNothing) {
  Network network({2e9, 1e9, 1e8}, {1, 1, kSecondaryWeight}, kRdmaSlices);
  network.rails[2].broken = true;
  network.run(Seconds(3), 64);
  network.drain();
  for (std::uint32_t rail = 0; rail < 3; ++rail) EXPECT_EQ(network.planner.bytes_in_flight(RailId{rail}), 0u);
}

}  // namespace
}  // namespace mooncake::transfer
