#include "sim/cluster/cluster.h"

#include <gtest/gtest.h>

#include <array>
#include <map>

#include "sim/cluster/cluster_report.h"
#include "sim/cluster/testing.h"
#include "sim/testing.h"

namespace mooncake::sim {
namespace {

using conductor::AdmissionPolicy;
using conductor::PlacementPolicy;
using testing::busy_trace;
using testing::company;
using testing::decisions;
using testing::kAdmissions;
using testing::kPlacements;
using testing::plain_config;
using testing::run;
using testing::tight_config;
using testing::trace_of;

TEST(Cluster, TimesOfOneRequestAreThoseOfTheProfile) {
  Trace trace = trace_of({{0, 1}});
  trace.requests[0].output_tokens = 4;
  const RequestOutcome outcome = run(trace, plain_config()).requests[0];
  EXPECT_EQ(outcome.outcome, Outcome::kCompleted);
  EXPECT_EQ(outcome.first_token - outcome.arrival, Millis(1024));
  EXPECT_EQ(outcome.tbt, Millis(11)) << "one sequence; the KVCache was sent while it was computed";
  EXPECT_EQ(outcome.end - outcome.first_token, Millis(33));
}

TEST(Cluster, BlocksAreReusedOnceTheirPrefillHasEndedButForTheLastToken) {
  Trace trace = trace_of({{0, 1}, {0, 1}, {0, 1, 2}});
  trace.requests[1].arrival = Millis(10);  // decided before the first is over, computed after it
  trace.requests[2].arrival = Seconds(5);
  const ClusterResult result = run(trace, plain_config());
  EXPECT_EQ(result.requests[0].reused_blocks, 0u);
  EXPECT_EQ(result.requests[1].reused_blocks, 2u);
  EXPECT_EQ(result.requests[1].first_token - result.requests[1].prefill_start, Millis(1));
  EXPECT_EQ(result.requests[2].reused_blocks, 2u);
  EXPECT_EQ(result.requests[2].first_token - result.requests[2].prefill_start, Millis(512));
  const ClusterReport report = report_cluster(trace, {}, result);
  EXPECT_DOUBLE_EQ(report.hit_rate_prefix_block, 4.0 / 7);
  EXPECT_FALSE(report.tbt_ms) << "no gaps";
}

TEST(Cluster, APartialLastBlockIsReusedUpToTheLastToken) {
  Trace trace = trace_of({{0, 1}, {0, 1}});
  for (TraceRequest& request : trace.requests) request.input_tokens = 600;
  trace.requests[1].arrival = Seconds(5);
  const RequestOutcome outcome = run(trace, plain_config()).requests[1];
  EXPECT_EQ(outcome.reused_blocks, 2u);
  EXPECT_EQ(outcome.first_token - outcome.prefill_start, Millis(1)) << "599 tokens of 600";
}

TEST(Cluster, ABusyHolderSendsItsPrefix) {
  Trace trace = trace_of({{0, 1}, {0, 1, 2, 3, 4}, {0, 1, 9}});
  trace.requests[1].arrival = trace.requests[2].arrival = Seconds(5);
  ClusterConfig config = plain_config();
  config.prefill = 2;
  const ClusterResult result = run(trace, config);
  EXPECT_EQ(result.requests[1].prefill, 0u);
  EXPECT_EQ(result.requests[2].prefill, 1u);
  EXPECT_EQ(result.requests[2].reused_blocks, 2u);
  EXPECT_EQ(result.transfers, 1u);
  // The link is busy with the KVCache of the second request first: 2,560 tokens, then 1,024; 1 us each.
  EXPECT_EQ(result.requests[2].prefill_start - result.requests[2].arrival, Micros(2'560 + 1'024));
}

/// Two blocks of memory above ten on SSD, of which one takes 0.512 ms to read.
ClusterConfig ssd_config() {
  ClusterConfig config = plain_config();
  config.cache_blocks_per_node = 2;
  config.ssd_blocks_per_node = 10;
  config.ssd_gbps = 8;
  return config;
}

TEST(Cluster, WhatIsOnSsdIsReadBeforeItsPromptIsComputed) {
  Trace trace = trace_of({{0, 1}, {2, 3}, {0, 1}});
  trace.requests[1].arrival = Seconds(2);
  trace.requests[2].arrival = Seconds(5);
  const ClusterResult result = run(trace, ssd_config());
  EXPECT_EQ(result.requests[2].reused_blocks, 2u);
  EXPECT_EQ(result.requests[2].prefill_start - result.requests[2].arrival, Micros(1'024));
  EXPECT_EQ(result.requests[2].first_token - result.requests[2].prefill_start, Millis(1));
  EXPECT_EQ(result.ssd_blocks_read, 2u);
}

TEST(Cluster, WhatGoesToSsdWhileItsPromptWaitsIsReadWhenItsTurnComes) {
  Trace trace = trace_of({{0, 1}, {2, 3, 4}, {0, 1, 9}});
  trace.requests[1].arrival = trace.requests[2].arrival = Seconds(5);
  const ClusterResult result = run(trace, ssd_config());
  EXPECT_EQ(result.requests[2].reused_blocks, 2u);
  EXPECT_EQ(result.requests[2].prefill_start - result.requests[1].first_token, Micros(1'024));
}

TEST(Cluster, ASenderReadsFromItsSsdsWhileItSends) {
  Trace trace = trace_of({{0, 1}, {2, 3}, {2, 3, 4, 5, 6}, {0, 1, 9}});
  trace.requests[1].arrival = Seconds(2);
  trace.requests[2].arrival = trace.requests[3].arrival = Seconds(5);
  ClusterConfig config = ssd_config();
  config.prefill = 2;
  for (const bool slow : {false, true}) {
    config.ssd_gbps = slow ? 1 : 8;
    const ClusterResult result = run(trace, config);
    EXPECT_EQ(result.requests[3].prefill, 1u);
    EXPECT_EQ(result.requests[3].reused_blocks, 2u);
    // The link sends 2,560 tokens for decode first, then these 1,024, 1 us each.
    EXPECT_EQ(result.requests[3].prefill_start - result.requests[3].arrival, slow ? Micros(8 * 1'024) : Micros(3'584));
    EXPECT_EQ(result.ssd_blocks_read, 2u);
  }
}

TEST(Cluster, ACopyAheadOfRequestsIsReadFromSsdAsWell) {
  // Both blocks are hot and go to SSD before the tick that copies them.
  Trace trace = trace_of({{0, 1}, {0, 1}, {0, 1}, {0, 1}, {2, 3}, {0, 1}});
  for (std::size_t i = 1; i < trace.requests.size(); ++i) trace.requests[i].arrival = Seconds(2 + i);
  trace.requests[5].arrival = trace.requests[4].arrival + Millis(1);
  ClusterConfig config = ssd_config();
  config.prefill = 2;
  config.placement = PlacementPolicy::kLocal;
  config.replicate = true;
  const ClusterResult result = run(trace, config);
  EXPECT_EQ(result.replicated_blocks, 2u);
  EXPECT_EQ(result.ssd_blocks_read, 2u);
}

TEST(Cluster, WithSsdsForEverythingAsMuchIsReusedAsWithMemoryForEverything) {
  const Trace trace = busy_trace(3, 400, 1, 0.5);
  ClusterConfig config = ssd_config();
  const auto reused = [&] { return report_cluster(trace, config.slo, run(trace, config)).hit_rate_prefix_block; };
  config.ssd_blocks_per_node = 0;
  const double scarce = reused();
  config.ssd_blocks_per_node = 10'000;
  config.ssd_gbps = 80;
  const double ssds = reused();
  config.ssd_blocks_per_node = 0;
  config.cache_blocks_per_node.reset();
  EXPECT_DOUBLE_EQ(ssds, reused());
  EXPECT_LT(scarce, ssds / 2);
}

// With local placement and no decode nothing but the own node's SSDs delays a prompt that has its node to itself.
TEST(Cluster, TheConductorKnowsWhatEachNodeHoldsAndWhere) {
  std::uint64_t at_once = 0, read = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const Trace trace = busy_trace(seed, 400, 2, 0.3);
    ClusterConfig config = ssd_config();
    config.prefill = 2;
    config.cache_blocks_per_node = 1 + seed * 3;
    config.ssd_blocks_per_node = 20 * (1 + seed % 3);
    config.placement = PlacementPolicy::kLocal;
    config.prefill_only = true;
    config.ssd_gbps = 80;
    std::map<std::uint32_t, conductor::Candidate> foreseen;
    const ClusterResult result = run(trace, config, [&](std::uint32_t request, const auto& decision, Instant) {
      foreseen[request] = *std::ranges::find(decision.candidates, decision.prefill, &conductor::Candidate::instance);
    });
    std::map<std::uint32_t, Instant> busy_until;  // by instance, with those who came before
    for (const auto& [request, candidate] : foreseen) {
      const RequestOutcome& outcome = result.requests[request];
      const Instant free = std::exchange(busy_until[outcome.prefill], outcome.first_token);
      if (free > outcome.arrival) continue;  // they change the cache before it begins
      EXPECT_EQ(outcome.reused_blocks, candidate.reused_blocks) << seed << ", " << request;
      EXPECT_EQ(outcome.prefill_start - outcome.arrival, candidate.transfer) << seed << ", " << request;
      ++(candidate.transfer > Nanos{0} ? read : at_once);
    }
  }
  EXPECT_GT(at_once, 500u);
  EXPECT_GT(read, 500u);
}

TEST(Cluster, APrefixThatEverybodyUsesIsThereBeforeItIsAskedFor) {
  Trace trace = trace_of({{0, 1}, {0, 1}, {0, 1}, {0, 1}, {0, 1}, {0, 1, 2, 3, 4}, {0, 1, 9}});
  for (std::size_t i = 1; i < trace.requests.size(); ++i) trace.requests[i].arrival = Seconds(4 + i);
  trace.requests[5].arrival = trace.requests[6].arrival = Millis(9'500);  // the copy left at the tick at 9 s
  ClusterConfig config = plain_config();
  config.prefill = 2;
  for (const bool replicate : {false, true}) {
    config.replicate = replicate;
    const ClusterResult result = run(trace, config);
    EXPECT_EQ(result.replicated_blocks, replicate ? 2u : 0u) << "both blocks, to the node that nothing was placed on";
    EXPECT_EQ(result.transfers, replicate ? 0u : 1u);
    EXPECT_EQ(result.requests[6].prefill, 1u);
    EXPECT_EQ(result.requests[6].reused_blocks, 2u);
    EXPECT_EQ(result.requests[6].prefill_start == result.requests[6].arrival, replicate) << "it waits for no transfer";
  }
}

TEST(Cluster, EverythingIsConservedUnderEveryPolicy) {
  const Trace trace = busy_trace(3, 600, 3, 4);
  for (const PlacementPolicy placement : kPlacements) {
    for (const AdmissionPolicy admission : kAdmissions) {
      ClusterConfig config = plain_config();
      config.prefill = 3;
      config.decode = 2;
      config.placement = placement;
      config.admission = admission;
      config.cache_blocks_per_node = 50;
      config.ssd_blocks_per_node = placement == PlacementPolicy::kAlgorithm1 ? 0 : 100;
      config.slo = {.ttft = Seconds(8), .tbt = Millis(13)};
      config.decode_kv_tokens = 60'000;
      const ClusterResult result = run(trace, config);
      const ClusterReport report = report_cluster(trace, config.slo, result);
      EXPECT_EQ(report.completed + report.rejected, 600u);
      EXPECT_EQ(report.rejected > 0, admission != AdmissionPolicy::kNone);
      EXPECT_EQ(report.rejected_after_prefill > 0, admission == AdmissionPolicy::kBaseline);
      std::map<std::uint32_t, std::map<Instant, Instant>> prefills;
      for (std::size_t i = 0; i < result.requests.size(); ++i) {
        const RequestOutcome& outcome = result.requests[i];
        EXPECT_EQ(outcome.arrival, Instant(trace.requests[i].arrival));
        if (outcome.outcome == Outcome::kRejected) continue;
        EXPECT_LE(outcome.arrival, outcome.prefill_start);
        EXPECT_LT(outcome.prefill_start, outcome.first_token);
        EXPECT_LE(outcome.first_token, outcome.end);
        EXPECT_EQ(outcome.tbt.has_value(),
                  outcome.outcome == Outcome::kCompleted && trace.requests[i].output_tokens > 1);
        prefills[outcome.prefill][outcome.prefill_start] = outcome.first_token;
      }
      for (const auto& [instance, line] : prefills) {
        Instant free{};
        for (const auto& [start, end] : line) {
          EXPECT_GE(start, free) << "one prompt at a time on " << instance;
          free = end;
        }
      }
    }
  }
}

TEST(Cluster, ARefusedRequestKeepsWhatItWasRefusedFor) {
  Trace trace = trace_of({{0, 1}});
  trace.requests[0].output_tokens = 10;
  ClusterConfig config = plain_config();
  config.slo.tbt = Millis(1);
  config.admission = AdmissionPolicy::kBaseline;
  const RequestOutcome late = run(trace, config).requests[0];
  EXPECT_EQ(late.outcome, Outcome::kRejectedAfterPrefill);
  EXPECT_EQ(late.refusal, conductor::RefusalKind::kTbtObjective);
  config.slo.ttft = Millis(1'000);  // its prefill takes 1,024
  const RequestOutcome early = run(trace, config).requests[0];
  EXPECT_EQ(early.outcome, Outcome::kRejected);
  EXPECT_EQ(early.refusal, conductor::RefusalKind::kTtftObjective);
}

TEST(Cluster, LateAndLostCacheEventsCostReuseAndNothingElse) {
  const Trace trace = busy_trace(3, 600, 3, 1);
  ClusterConfig config = plain_config();
  config.prefill = 3;
  config.cache_blocks_per_node = 50;
  const double told_at_once = report_cluster(trace, config.slo, run(trace, config)).hit_rate_prefix_block;
  config.event_delay = Seconds(30);
  const double told_late = report_cluster(trace, config.slo, run(trace, config)).hit_rate_prefix_block;
  config.event_delay = {};
  config.event_loss = 0.5;
  const ClusterReport half_lost = report_cluster(trace, config.slo, run(trace, config));
  EXPECT_LT(told_late, told_at_once);
  EXPECT_LT(half_lost.hit_rate_prefix_block, told_at_once);
  EXPECT_EQ(half_lost.completed, 600u);
}

/// Every tenth request is of tenant 1, the others of tenant 2.
Trace of_two_tenants(Trace trace) {
  trace.tenants = {"", "small", "large"};
  for (std::size_t i = 0; i < trace.requests.size(); ++i) trace.requests[i].tenant = i % 10 == 0 ? 1 : 2;
  return trace;
}

/// Mean TTFT of the small tenant's requests.
double small_ttft_ms(const Trace& trace, const ClusterResult& result) {
  double sum = 0, count = 0;
  for (std::size_t i = 0; i < trace.requests.size(); ++i) {
    if (i % 10 != 0) continue;
    sum += to_ms(result.requests[i].first_token - result.requests[i].arrival);
    ++count;
  }
  return sum / count;
}

TEST(Cluster, ATenantThatAsksForLittleDoesNotWaitForOneThatFloods) {
  const Trace alike = busy_trace(6, 800, 2, 2);  // at twice what can be computed the line grows to the end
  const Trace apart = of_two_tenants(alike);
  ClusterConfig config = plain_config();
  config.prefill = 2;
  config.cache_blocks_per_node = 1;
  std::map<std::uint32_t, Nanos> foreseen;
  const ClusterResult in_turn = run(apart, config, [&](std::uint32_t request, const auto& decision, Instant) {
    foreseen[request] = decision.predicted_ttft;
  });
  EXPECT_LT(small_ttft_ms(apart, in_turn), small_ttft_ms(alike, run(alike, config)) / 10);
  // And that is what the Conductor expects, without knowing who comes meanwhile.
  ClusterResult predicted = in_turn;
  for (const auto& [request, ttft] : foreseen) {
    predicted.requests[request].first_token = predicted.requests[request].arrival + ttft;
  }
  EXPECT_NEAR(small_ttft_ms(apart, predicted) / small_ttft_ms(apart, in_turn), 1, 0.3);
}

TEST(Cluster, OneTenantIsEverybodyWhateverItsName) {
  const Trace alike = busy_trace(6, 400, 3, 3);
  Trace named = alike;
  named.tenants = {"", "a"};
  for (TraceRequest& request : named.requests) request.tenant = 1;
  for (const AdmissionPolicy admission : kAdmissions) {
    const ClusterConfig config = tight_config(PlacementPolicy::kCostMin, admission);
    EXPECT_EQ(decisions(alike, config), decisions(named, config));
  }
}

TEST(Cluster, LowIsRefusedFirstAndHighLastWhateverTheLoad) {
  for (const double load : {2.0, 4.0}) {
    Trace trace = busy_trace(9, 3'000, 3, load);
    Rng rng(1);
    for (TraceRequest& request : trace.requests) request.priority = static_cast<conductor::Priority>(rng.below(3));
    for (const AdmissionPolicy admission : {AdmissionPolicy::kBaseline, AdmissionPolicy::kEarly,
                                            AdmissionPolicy::kPredictive, AdmissionPolicy::kSurvival}) {
      ClusterConfig config = tight_config(PlacementPolicy::kCostMin, admission);
      config.slo.tbt =
          Millis(16);  // low keeps its part with one sequence in the batch, normal with three, high with six
      const ClusterResult result = run(trace, config);
      std::array<double, 3> refused{}, asked{};
      for (std::size_t i = 0; i < trace.requests.size(); ++i) {
        const auto priority = static_cast<std::size_t>(trace.requests[i].priority);
        asked[priority] += 1;
        refused[priority] += result.requests[i].outcome == Outcome::kCompleted ? 0 : 1;
      }
      const auto share = [&](std::size_t priority) { return refused[priority] / asked[priority]; };
      EXPECT_GT(share(0), share(1)) << conductor::admission_name(admission) << " at " << load;
      EXPECT_GT(share(1), share(2)) << conductor::admission_name(admission) << " at " << load;
    }
  }
}

TEST(Cluster, TheSameSeedGivesTheSameDecisions) {
  const Trace trace = busy_trace(8, 400, 3, 4);
  for (const PlacementPolicy placement : kPlacements) {
    const ClusterConfig config = tight_config(placement, AdmissionPolicy::kSurvival);
    EXPECT_EQ(decisions(trace, config), decisions(trace, config));
  }
  ClusterConfig other = tight_config(PlacementPolicy::kRandom, AdmissionPolicy::kNone);
  const auto first = decisions(trace, other);
  other.seed = 5;
  EXPECT_NE(first, decisions(trace, other));
}

TEST(Cluster, NoPolicySeesHowLongAnAnswerWillBe) {
  const Trace trace = busy_trace(6, 300, 3, 4);
  for (const auto& [placement, admission] : company()) {
    const ClusterConfig config = tight_config(placement, admission);
    testing::expect_blind_to_lengths(trace, config);
  }
}

TEST(Cluster, RefusesWhatMakesNoSense) {
  const Trace trace = trace_of({{0}});
  for (const auto& change : std::vector<std::function<void(ClusterConfig&)>>{
           [](ClusterConfig& config) { config.prefill = 0; },
           [](ClusterConfig& config) { config.decode = kClusterInstancesMax + 1; },
           [](ClusterConfig& config) { config.cache_blocks_per_node = 0; },
           [](ClusterConfig& config) { config.eviction = "opt"; },
           [](ClusterConfig& config) { config.link_gbps = 0; },
           [](ClusterConfig& config) { config.speed = 0; },
       }) {
    ClusterConfig config = plain_config();
    change(config);
    EXPECT_EQ(run_cluster(trace, config).status().code(), Code::kInvalidArgument);
  }
}

/// Twelve nodes of which a quarter would be enough to prefill: answers are long, and nobody meets the TBT's objective.
ClusterConfig lopsided(bool elastic) {
  ClusterConfig config = plain_config();
  config.prefill = 9;
  config.decode = 3;
  config.slo = {.ttft = Seconds(8), .tbt = Millis(18)};
  config.elastic = elastic;
  return config;
}

TEST(Cluster, ElasticRolesMoveNodesToWhereTheyAreMissing) {
  Trace trace = busy_trace(8, 4000, 12, 0.25);
  for (TraceRequest& request : trace.requests) request.output_tokens *= 10;
  const ClusterResult fixed = run(trace, lopsided(false));
  const ClusterResult elastic = run(trace, lopsided(true));
  const ClusterReport before = report_cluster(trace, lopsided(false).slo, fixed);
  const ClusterReport after = report_cluster(trace, lopsided(true).slo, elastic);
  EXPECT_EQ(before.role_changes, 0u);
  EXPECT_GT(after.role_changes, 0u);
  EXPECT_LT(after.prefill_at_end, 9u);
  EXPECT_EQ(after.completed, 4000u);
  EXPECT_GT(after.effective_fraction, before.effective_fraction + 0.2);
  for (const RequestOutcome& outcome : elastic.requests) {
    EXPECT_LT(outcome.prefill, 12u);
    EXPECT_LT(outcome.decode, 12u);
    EXPECT_LE(outcome.first_token, outcome.end);
  }
  EXPECT_EQ(decisions(trace, lopsided(true)), decisions(trace, lopsided(true)));
}

TEST(Cluster, WithoutDecodeThereAreNoRolesToChange) {
  ClusterConfig config = lopsided(true);
  config.prefill_only = true;
  EXPECT_EQ(run_cluster(busy_trace(8, 10, 1, 1), config).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace mooncake::sim
