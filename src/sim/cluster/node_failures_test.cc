#include "sim/cluster/node_failures.h"

#include <gtest/gtest.h>

#include <map>
#include <tuple>

namespace mooncake::sim {
namespace {

ClusterConfig failing(std::uint64_t seed) {
  ClusterConfig config;
  config.prefill = 3;
  config.decode = 2;
  config.mtbf = Seconds(100);
  config.repair = Seconds(20);
  config.seed = seed;
  return config;
}

TEST(NodeFailures, WithoutAnMtbfNothingEverFails) { EXPECT_EQ(NodeFailures(ClusterConfig{}).next(), Instant::max()); }

TEST(NodeFailures, EveryNodeFailsAndIsBackInTurnInTheOrderOfTime) {
  NodeFailures process(failing(1));
  std::map<std::uint32_t, NodeFailures::Change> last;
  Instant now{};
  for (int i = 0; i < 1000; ++i) {
    const Instant next = process.next();
    const NodeFailures::Change change = process.happen();
    EXPECT_EQ(change.at, next);
    EXPECT_GE(change.at, now);
    now = change.at;
    const auto before = last.find(change.node);
    EXPECT_EQ(change.fails, before == last.end() || !before->second.fails);
    if (!change.fails) {
      EXPECT_EQ(change.at - before->second.at, Seconds(20));
    }
    last[change.node] = change;
  }
  EXPECT_EQ(last.size(), 5u);
  EXPECT_NEAR(static_cast<double>(process.failures()), 500, 3);
}

TEST(NodeFailures, TimesToFailureAreExponential) {
  ClusterConfig config = failing(2);
  config.repair = Nanos{0};
  NodeFailures process(config);
  std::map<std::uint32_t, Instant> up;
  double sum = 0, squares = 0, beyond = 0;
  constexpr int kSamples = 50'000;
  for (int i = 0; i < kSamples;) {
    const NodeFailures::Change change = process.happen();
    if (!change.fails) {
      up[change.node] = change.at;
      continue;
    }
    const double lived = to_ms(change.at - up[change.node]) / 1e3;
    sum += lived;
    squares += lived * lived;
    beyond += lived > 200 ? 1 : 0;
    ++i;
  }
  const double mean = sum / kSamples;
  EXPECT_NEAR(mean, 100, 2);
  EXPECT_NEAR(squares / kSamples - mean * mean, 100 * 100, 500) << "its variance is its mean squared";
  EXPECT_NEAR(beyond / kSamples, 0.1353, 0.005) << "e^-2";
}

TEST(NodeFailures, ANodeFailsWhenItDoesWhateverOthersThereAre) {
  const auto first_of_node_1 = [](ClusterConfig config) {
    NodeFailures process(config);
    NodeFailures::Change change = process.happen();
    while (change.node != 1) change = process.happen();
    return change.at;
  };
  ClusterConfig more = failing(3);
  more.prefill = 30;
  EXPECT_EQ(first_of_node_1(failing(3)), first_of_node_1(more));
  EXPECT_NE(first_of_node_1(failing(3)), first_of_node_1(failing(4)));
}

TEST(NodeFailures, WithoutDecodeNoDecodeNodeFails) {
  ClusterConfig config = failing(5);
  config.prefill_only = true;
  NodeFailures process(config);
  for (int i = 0; i < 100; ++i) EXPECT_LT(process.happen().node, 3u);
}

}  // namespace
}  // namespace mooncake::sim
