// The simulator against queueing theory. One prefill instance without reuse is an M/G/1 queue. Two steps: it does
// exactly what Lindley's recursion says for the same arrivals and services, and that recursion has the mean wait of
// Pollaczek and Khinchine, W = lambda E[S^2] / (2 (1 - rho)), within 1 %.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/rng.h"
#include "sim/cluster/cluster.h"

namespace mooncake::sim {
namespace {

// At a load of 0.9 waits are correlated over hundreds of requests: with fewer the mean itself is uncertain by more.
constexpr std::uint64_t kArrivals = 20'000'000;

struct Service {
  const char* name;
  std::vector<std::uint32_t> tokens;  // equally likely; 1 ms each
};
const Service kDeterministic{"M/D/1", {1000}};
const Service kGeneral{"M/G/1", {100, 700, 1000, 2200}};

double moment(const Service& service, int power) {
  double sum = 0;
  for (const std::uint32_t tokens : service.tokens) sum += std::pow(tokens, power);
  return sum / static_cast<double>(service.tokens.size());
}

/// Gap before a request, in nanoseconds, and its length.
class Arrivals {
 public:
  Arrivals(const Service& service, double load, std::uint64_t seed)
      : service_(service), mean_gap_ns_(moment(service, 1) * 1e6 / load), rng_(seed) {}
  std::int64_t gap_ns() { return static_cast<std::int64_t>(-std::log(1 - rng_.uniform()) * mean_gap_ns_); }
  std::uint32_t tokens() { return service_.tokens[rng_.below(service_.tokens.size())]; }

 private:
  const Service& service_;
  double mean_gap_ns_;
  Rng rng_;
};

class QueueingTest : public ::testing::TestWithParam<std::tuple<Service, double>> {};

TEST_P(QueueingTest, OnePrefillInstanceFollowsLindley) {
  const auto& [service, load] = GetParam();
  Arrivals arrivals(service, load, 5);
  Trace trace;
  std::vector<Nanos> waits;
  Nanos at{};
  Nanos wait{};
  Nanos work{};
  for (int i = 0; i < 5'000; ++i) {
    const Nanos gap(arrivals.gap_ns());
    at += gap;
    wait = std::max(Nanos{0}, wait + work - gap);
    const std::uint32_t tokens = arrivals.tokens();
    work = Millis(tokens);
    waits.push_back(wait);
    trace.requests.push_back({.arrival = at, .input_tokens = tokens, .output_tokens = 1});
  }
  ClusterConfig config;
  config.profile.prefill_ms_per_token = 1;
  config.prefill_only = true;
  const auto result = run_cluster(trace, config);
  ASSERT_TRUE(result.ok());
  for (std::size_t i = 0; i < waits.size(); ++i) {
    const RequestOutcome& outcome = result->requests[i];
    ASSERT_EQ(outcome.prefill_start - outcome.arrival, waits[i]) << i;
  }
}

TEST_P(QueueingTest, LindleyHasTheMeanWaitOfTheClosedForm) {
  const auto& [service, load] = GetParam();
  Arrivals arrivals(service, load, 7);
  double sum = 0;
  std::int64_t wait = 0;
  std::int64_t work = 0;
  for (std::uint64_t i = 0; i < kArrivals; ++i) {
    wait = std::max<std::int64_t>(0, wait + work - arrivals.gap_ns());
    work = std::int64_t{arrivals.tokens()} * 1'000'000;
    sum += static_cast<double>(wait);
  }
  const double mean_ms = sum / kArrivals / 1e6;
  const double lambda = load / moment(service, 1);
  const double expected_ms = lambda * moment(service, 2) / (2 * (1 - load));
  EXPECT_NEAR(mean_ms / expected_ms, 1, 0.01) << service.name << " at " << load;
}

INSTANTIATE_TEST_SUITE_P(All, QueueingTest,
                         testing::Combine(testing::Values(kDeterministic, kGeneral), testing::Values(0.5, 0.8, 0.9)));

}  // namespace
}  // namespace mooncake::sim
