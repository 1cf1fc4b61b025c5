// A cluster whose nodes fail. When they do is drawn from the seed, so tests with exact times look for a seed whose
// first failure is of the node they want, and let requests arrive around it.
#include <gtest/gtest.h>

#include <map>

#include "sim/cluster/cluster.h"
#include "sim/cluster/cluster_report.h"
#include "sim/cluster/node_failures.h"
#include "sim/cluster/testing.h"

namespace mooncake::sim {
namespace {

using conductor::AdmissionPolicy;
using conductor::PlacementPolicy;
using testing::busy_trace;
using testing::company;
using testing::decisions;
using testing::plain_config;
using testing::run;
using testing::tight_config;
using testing::trace_of;

/// Gives `config` the first seed from `seed` on with which `node` fails first, a minute or more before another one.
/// @return when.
Nanos first_to_fail(ClusterConfig& config, std::uint32_t node, std::uint64_t seed = 0) {
  config.mtbf = Seconds(10'000);
  for (config.seed = seed;; ++config.seed) {
    NodeFailures process(config);
    const NodeFailures::Change first = process.happen();
    if (first.node != node || first.at < Instant(Seconds(60))) continue;
    if (process.next() == first.at + config.repair) process.happen();
    if (process.next() > first.at + Seconds(60)) return first.at.time_since_epoch();
  }
}

Instant at(Nanos time) { return Instant(time); }

TEST(ClusterFailures, APrefillNodeLosesItsPromptsAndItsCache) {
  Trace trace = trace_of({{0, 1}, {0, 1, 2}, {0, 1, 3}, {9}, {20, 21}});
  ClusterConfig config = plain_config();
  config.prefill = 2;
  config.repair = Seconds(5);
  const Nanos failure = first_to_fail(config, 0);
  trace.requests[0].arrival = failure - Seconds(5);
  trace.requests[1].arrival = failure - Millis(100);  // to the holder, where it runs
  trace.requests[2].arrival = failure - Millis(90);   // likewise, where it waits
  trace.requests[3].arrival = failure - Millis(50);   // to the other, for 512 ms
  trace.requests[4].arrival = failure + Seconds(6);
  std::map<std::uint32_t, std::vector<Instant>> decided;
  config.placement = PlacementPolicy::kLocal;
  const ClusterResult result =
      run(trace, config, [&](std::uint32_t request, const auto&, Instant now) { decided[request].push_back(now); });
  EXPECT_EQ(decided[1], (std::vector{at(failure - Millis(100)), at(failure)}));
  EXPECT_EQ(decided[2], (std::vector{at(failure - Millis(90)), at(failure)}));
  EXPECT_EQ(decided[3].size(), 1u) << "it lost nothing";
  const auto& [holder, ran, waited, other, late] =
      std::tie(result.requests[0], result.requests[1], result.requests[2], result.requests[3], result.requests[4]);
  EXPECT_EQ(holder.prefill, 0u);
  EXPECT_EQ(holder.end, at(failure - Seconds(5) + Millis(1024)));
  EXPECT_EQ(other.first_token, at(failure - Millis(50) + Millis(512)));
  EXPECT_EQ(ran.prefill, 1u);
  EXPECT_EQ(ran.reused_blocks, 0u) << "nobody has it any more";
  EXPECT_EQ(ran.prefill_start, other.first_token);
  EXPECT_EQ(ran.first_token, other.first_token + Millis(1536));
  EXPECT_EQ(waited.prefill, 1u);
  EXPECT_EQ(waited.reused_blocks, 2u) << "of the one before it";
  EXPECT_EQ(waited.first_token, ran.first_token + Millis(512));
  EXPECT_EQ(late.prefill, 0u) << "it is back";
  EXPECT_EQ(result.node_failures, 1u);
  EXPECT_EQ(result.placed_again, 2u);
}

TEST(ClusterFailures, ANodeComesBackEmpty) {
  Trace trace = trace_of({{0, 1}, {0, 1}});
  ClusterConfig config = plain_config();
  config.repair = Seconds(5);
  const Nanos failure = first_to_fail(config, 0);
  trace.requests[0].arrival = failure - Seconds(5);
  trace.requests[1].arrival = failure + Seconds(6);
  EXPECT_EQ(run(trace, config).requests[1].reused_blocks, 0u);
  config.mtbf.reset();
  EXPECT_EQ(run(trace, config).requests[1].reused_blocks, 2u);
}

TEST(ClusterFailures, WhatIsOnSsdComesBackWithItsNode) {
  Trace trace = trace_of({{0, 1}, {0, 1}, {0, 1}});
  ClusterConfig config = plain_config();
  config.prefill = 2;
  config.cache_blocks_per_node = 10;
  config.ssd_blocks_per_node = 10;
  config.ssd_gbps = 8;  // 0.512 ms a block
  config.placement = PlacementPolicy::kLocal;
  config.repair = Seconds(5);
  const Nanos failure = first_to_fail(config, 0);
  trace.requests[0].arrival = failure - Seconds(5);
  trace.requests[1].arrival = failure + Seconds(1);
  trace.requests[2].arrival = failure + Seconds(6);
  ClusterResult result = run(trace, config);
  EXPECT_EQ(result.requests[1].prefill, 1u);
  EXPECT_EQ(result.requests[1].reused_blocks, 0u) << "out of reach while its node is down";
  config.prefill = 1;
  trace = trace_of({{0, 1}, {0, 1}});
  const Nanos alone = first_to_fail(config, 0);
  trace.requests[0].arrival = alone - Seconds(5);
  trace.requests[1].arrival = alone + Seconds(6);
  result = run(trace, config);
  EXPECT_EQ(result.requests[1].reused_blocks, 2u);
  EXPECT_EQ(result.requests[1].prefill_start - result.requests[1].arrival, Micros(1'024)) << "nothing is in memory";
}

TEST(ClusterFailures, WhatADecodeNodeHadGeneratedIsThePromptOfWhatIsLeft) {
  Trace trace = trace_of({{0, 1}});
  trace.requests[0].input_tokens = 1000;  // of its second block 488 tokens
  trace.requests[0].output_tokens = 10;
  ClusterConfig config = plain_config();
  config.decode = 2;
  const Nanos failure = first_to_fail(config, 1);
  trace.requests[0].arrival = failure - Millis(1000 + 27);
  const ClusterResult result = run(trace, config);
  const RequestOutcome& outcome = result.requests[0];
  // Of its steps, 11 ms each, two have ended and the third is under way: three tokens, the last of them 5 ms ago.
  EXPECT_EQ(outcome.outcome, Outcome::kCompleted);
  EXPECT_EQ(outcome.decode, 0u) << "of the attempt that gave the first token";
  EXPECT_EQ(outcome.first_token, at(failure - Millis(27)));
  // Then a prompt of 1,003 tokens, of which a block is cached; that gives the fourth. Six more steps elsewhere.
  const Nanos prefill = Millis(1003 - 512);
  EXPECT_EQ(outcome.end, at(failure) + prefill + Millis(6 * 11));
  EXPECT_EQ(outcome.tbt, Millis(5) + prefill) << "the longest of nine gaps";
  EXPECT_EQ(result.placed_again, 1u);
  EXPECT_EQ(outcome.reused_blocks, 0u) << "of the first attempt";
}

TEST(ClusterFailures, AnAnswerMayEndWithThePrefillOfItsSecondAttempt) {
  Trace trace = trace_of({{0}});
  trace.requests[0].output_tokens = 3;
  ClusterConfig config = plain_config();
  config.decode = 2;
  const Nanos failure = first_to_fail(config, 1);
  trace.requests[0].arrival = failure - Millis(512 + 15);
  const RequestOutcome outcome = run(trace, config).requests[0];
  EXPECT_EQ(outcome.end, at(failure + Millis(2))) << "two tokens beside a cached block";
  EXPECT_EQ(outcome.tbt, Millis(11)) << "gaps of 11 and 6 ms";
}

TEST(ClusterFailures, KvCacheOnItsWayIsLostWithEitherEnd) {
  for (const bool sender : {true, false}) {
    Trace trace = trace_of({{0}});
    trace.requests[0].output_tokens = 3;
    ClusterConfig config = plain_config();
    config.prefill = config.decode = 2;
    config.link_gbps = 0.004;  // 2 ms a token: there 512 ms after the first token
    const Nanos failure = first_to_fail(config, sender ? 0 : 2);
    trace.requests[0].arrival = failure - Millis(512 + 100);
    const RequestOutcome outcome = run(trace, config).requests[0];
    EXPECT_EQ(outcome.first_token, at(failure - Millis(100)));
    // Again, with a token more, which the sender has cached if it is there, and the link is busy with what was lost.
    const Nanos second = sender ? Millis(513) : Millis(1);
    const Nanos link_free = sender ? Nanos(0) : Millis(1024 - 512 - 100);
    EXPECT_EQ(outcome.tbt, std::max(Millis(100) + second, link_free + Millis(2 * 513) - second + Millis(11)));
    EXPECT_EQ(outcome.end, at(failure) + link_free + Millis(2 * 513 + 11));
  }
}

TEST(ClusterFailures, WhatWasBeingFetchedFromALostNodeIsComputed) {
  Trace trace = trace_of({{0, 1}, {5, 6, 7, 8}, {0, 1, 9}});
  ClusterConfig config = plain_config();
  config.prefill = 2;
  config.prefill_only = true;
  config.link_gbps = 0.016;  // 0.5 ms a token
  const Nanos failure = first_to_fail(config, 0);
  trace.requests[0].arrival = failure - Seconds(20);
  trace.requests[1].arrival = trace.requests[2].arrival = failure - Millis(100);
  ClusterResult result = run(trace, config);
  EXPECT_EQ(result.transfers, 1u);
  EXPECT_EQ(result.requests[2].prefill_start, at(failure)) << "not when the prefix would have been there, at 412 ms";
  EXPECT_EQ(result.requests[2].reused_blocks, 0u);
  EXPECT_EQ(result.requests[2].first_token, at(failure + Millis(1536)));
  EXPECT_EQ(result.requests[1].first_token, at(failure + Millis(1536 + 2048))) << "it ran there, and goes on behind";
}

/// Blocks that the Conductor takes prefill instance `node` to hold of a request that arrives last.
std::uint32_t believed_of_last(const Trace& trace, const ClusterConfig& config, std::uint32_t node) {
  std::optional<std::uint32_t> blocks;
  (void)run(trace, config, [&](std::uint32_t request, const conductor::Decision& decision, Instant) {
    if (request + 1 != trace.requests.size()) return;
    for (const auto& candidate : decision.candidates) {
      if (candidate.instance == conductor::InstanceId{node}) blocks = candidate.local_prefix_blocks;
    }
  });
  return blocks.value();
}

TEST(ClusterFailures, ALateMessageOfALostCacheIsNotHeard) {
  Trace trace = trace_of({{0, 1}, {0, 1}});
  ClusterConfig config = plain_config();
  config.repair = Seconds(1);
  config.event_delay = Seconds(10);
  const Nanos failure = first_to_fail(config, 0);
  trace.requests[0].arrival = failure - Seconds(2);
  trace.requests[1].arrival = failure + Seconds(20);
  EXPECT_EQ(believed_of_last(trace, config, 0), 0u);
  config.mtbf.reset();
  EXPECT_EQ(believed_of_last(trace, config, 0), 2u);
}

TEST(ClusterFailures, ACopyOnItsWayToALostNodeIsLost) {
  // As in Cluster.APrefixThatEverybodyUsesIsThereBeforeItIsAskedFor, the copy leaves at the ninth second; it is on its
  // way for half of one, in which the node fails. It is back before the next tick, at which it is sent a new one.
  Trace trace = trace_of({{0, 1}, {0, 1}, {0, 1}, {0, 1}, {0, 1}, {0, 1}});
  ClusterConfig config = plain_config();
  config.prefill = 2;
  config.replicate = true;
  config.link_gbps = 0.016;  // 0.5 ms a token
  config.repair = Millis(1);
  Nanos failure = first_to_fail(config, 1);
  while (failure % Seconds(1) > Millis(300)) failure = first_to_fail(config, 1, config.seed + 1);
  const Nanos begin = failure - failure % Seconds(1) - Seconds(9);
  trace.requests[0].arrival = begin;
  for (std::size_t i = 1; i < 5; ++i) trace.requests[i].arrival = begin + Seconds(4 + static_cast<int>(i));
  trace.requests[5].arrival = begin + Millis(9'700);
  EXPECT_EQ(run(trace, config).replicated_blocks, 2u);
  EXPECT_EQ(believed_of_last(trace, config, 1), 0u);
  config.mtbf.reset();
  EXPECT_EQ(believed_of_last(trace, config, 1), 2u);
}

TEST(ClusterFailures, WithNobodyUpTheFirstAttemptWaitsOrIsRefusedAndLaterOnesWait) {
  for (const AdmissionPolicy admission : {AdmissionPolicy::kNone, AdmissionPolicy::kSurvival}) {
    for (const Nanos repair : {Nanos(Seconds(4)), Nanos(Seconds(6))}) {
      Trace trace = trace_of({{0}, {1}});
      ClusterConfig config = plain_config();
      config.admission = admission;
      config.repair = repair;
      const Nanos failure = first_to_fail(config, 0);
      trace.requests[0].arrival = failure - Millis(100);
      trace.requests[1].arrival = failure;
      const ClusterResult result = run(trace, config);
      const bool in_time = repair < Seconds(5);
      const bool may_wait = admission == AdmissionPolicy::kNone;
      EXPECT_EQ(result.requests[0].outcome, in_time ? Outcome::kCompleted : Outcome::kFailed);
      EXPECT_EQ(result.requests[0].end, at(failure) + (in_time ? repair + Millis(512) : Nanos(Seconds(5))));
      EXPECT_EQ(result.requests[1].outcome, in_time && may_wait ? Outcome::kCompleted : Outcome::kRejected);
      EXPECT_EQ(result.requests[1].end, at(failure) + (!may_wait ? Nanos(0)
                                                       : in_time ? repair + Millis(1024)
                                                                 : Nanos(Seconds(5))));
      EXPECT_EQ(result.placed_again, in_time ? 1u : 0u);
    }
  }
}

TEST(ClusterFailures, ARequestThatLostTwoNodesFails) {
  Trace trace = trace_of({std::vector<TraceBlock>(60)});  // 31 s of prefill, on nodes that live for 2 s
  ClusterConfig config = plain_config();
  config.prefill = config.decode = 2;
  config.mtbf = Seconds(2);
  config.repair = Nanos(0);
  const ClusterResult result = run(trace, config);
  EXPECT_EQ(result.requests[0].outcome, Outcome::kFailed);
  EXPECT_EQ(result.placed_again, 1u);
  const ClusterReport report = report_cluster(trace, config.slo, result);
  EXPECT_EQ(report.failed, 1u);
  EXPECT_EQ(report.completed + report.rejected, 0u);
}

/// The trace, and an hour later a request that meets nobody.
Trace with_a_straggler(Trace trace) {
  trace.requests.push_back({.arrival = trace.requests.back().arrival + Seconds(3600),
                            .input_tokens = 1000,
                            .output_tokens = 2,
                            .first_block = trace.blocks.size()});
  return trace;
}

// Random clusters, policies and failures: nobody is lost, or served twice.
TEST(ClusterFailures, EverythingIsConservedWhateverFails) {
  std::uint64_t completed = 0, failed = 0, again = 0, changes = 0, copied = 0;
  for (std::uint64_t seed = 0; seed < 80; ++seed) {
    Rng rng(seed);
    Trace trace = with_a_straggler(busy_trace(seed, 300, 3, 0.5 + 2 * rng.uniform()));
    ClusterConfig config = tight_config(testing::kPlacements[rng.below(testing::kPlacements.size())],
                                        testing::kAdmissions[rng.below(testing::kAdmissions.size())]);
    config.seed = seed;
    config.mtbf = Seconds(10 + rng.below(200));
    config.repair = Seconds(rng.below(20));
    config.slo = {.ttft = Seconds(20), .tbt = Millis(20)};
    config.decode_kv_tokens = rng.below(2) == 0 ? 60'000 : 20'000;
    config.elastic = rng.below(2) == 0;
    config.replicate = rng.below(2) == 0;
    config.prefill_only = !config.elastic && rng.below(4) == 0;
    config.ssd_blocks_per_node = rng.below(2) * 100;
    config.ssd_gbps = 1;
    if (rng.below(3) == 0) config.event_delay = Seconds(3);
    if (rng.below(4) == 0) config.event_loss = 0.2;
    const std::uint32_t straggler = 300;
    const ClusterResult result = run(trace, config, [&](std::uint32_t request, const auto& decision, Instant now) {
      if (request != straggler || now != at(trace.requests[straggler].arrival)) return;
      for (const auto& candidate : decision.candidates) {  // nothing is booked anywhere
        EXPECT_EQ(candidate.outstanding, Nanos(0)) << seed;
        EXPECT_EQ(candidate.tbt, candidate.role == conductor::Role::kDecode ? Millis(11) : Millis(0)) << seed;
      }
    });
    const ClusterReport report = report_cluster(trace, config.slo, result);
    EXPECT_EQ(report.completed + report.rejected + report.failed, 301u);
    EXPECT_GT(report.node_failures, 0u);
    const Instant over = std::ranges::max(result.requests, {}, &RequestOutcome::end).end;
    NodeFailures process(config);
    while (process.next() < over) process.happen();
    EXPECT_GE(report.node_failures, process.failures()) << "until the last request has ended";
    while (process.next() == over) process.happen();
    EXPECT_LE(report.node_failures, process.failures()) << "and no longer";
    std::map<std::uint32_t, std::map<Instant, Instant>> prefills;
    for (std::size_t i = 0; i < result.requests.size(); ++i) {
      const RequestOutcome& outcome = result.requests[i];
      EXPECT_EQ(outcome.arrival, at(trace.requests[i].arrival));
      EXPECT_LE(outcome.arrival, outcome.end);
      if (outcome.outcome != Outcome::kCompleted) {
        EXPECT_FALSE(outcome.tbt);
        continue;
      }
      EXPECT_LE(outcome.arrival, outcome.prefill_start);
      const std::uint32_t input = trace.requests[i].input_tokens;
      const std::uint32_t reused = std::min(outcome.reused_blocks * kTraceBlockTokens, input - 1);
      EXPECT_EQ(outcome.first_token - outcome.prefill_start, Millis(input - reused)) << "whatever ended beside it";
      EXPECT_LE(outcome.first_token, outcome.end);
      EXPECT_TRUE(prefills[outcome.prefill].emplace(outcome.prefill_start, outcome.first_token).second);
      const std::uint32_t gaps = config.prefill_only ? 0 : trace.requests[i].output_tokens - 1;
      ASSERT_EQ(outcome.tbt.has_value(), gaps > 0);
      if (gaps == 0) continue;
      // Every token came from a step, but for one from the prefill of a second attempt.
      const Nanos took = outcome.end - outcome.first_token;
      EXPECT_GE(took, (gaps - 1) * Millis(11));
      EXPECT_LE(*outcome.tbt, took);
      EXPECT_GE(*outcome.tbt + Nanos(1), took / gaps) << "no gap was forgotten";
    }
    for (const auto& [instance, line] : prefills) {
      Instant free{};
      for (const auto& [start, end] : line) {
        EXPECT_GE(start, free) << "one prompt at a time on " << instance;
        free = end;
      }
    }
    completed += report.completed;
    failed += report.failed;
    again += report.placed_again;
    changes += report.role_changes;
    copied += report.replicated_blocks;
  }
  EXPECT_GT(completed, 80u * 100) << failed << " failed, " << again << " were placed again";
  EXPECT_GT(failed, 100u);
  EXPECT_GT(again, 1000u);
  EXPECT_GT(changes, 5u);
  EXPECT_GT(copied, 5u);
}

TEST(ClusterFailures, TheSameSeedGivesTheSameDecisions) {
  const Trace trace = busy_trace(8, 400, 3, 1);
  for (const auto& [placement, admission] : company()) {
    ClusterConfig config = tight_config(placement, admission);
    config.mtbf = Seconds(30);
    config.repair = Seconds(5);
    config.elastic = config.replicate = true;
    config.ssd_blocks_per_node = 100;
    const auto first = decisions(trace, config);
    EXPECT_EQ(first, decisions(trace, config));
    config.seed = 5;
    EXPECT_NE(first, decisions(trace, config));
  }
}

TEST(ClusterFailures, NoPolicySeesHowLongAnAnswerWillBe) {
  const Trace trace = busy_trace(6, 300, 3, 2);
  for (const auto& [placement, admission] : company()) {
    ClusterConfig config = tight_config(placement, admission);
    config.mtbf = Seconds(30);
    config.repair = Seconds(5);
    testing::expect_blind_to_lengths(trace, config);
  }
}

// The latest possible failure is after the end, so nothing may be different, and nothing may wait for it.
TEST(ClusterFailures, AClusterInWhichNothingFailsInTimeIsOneInWhichNothingFails) {
  const Trace trace = busy_trace(8, 400, 3, 2);
  for (const auto& [placement, admission] : company()) {
    ClusterConfig config = tight_config(placement, admission);
    config.elastic = config.replicate = true;
    config.ssd_blocks_per_node = 100;
    const auto without = decisions(trace, config);
    config.mtbf = kMtbfMax;
    EXPECT_EQ(without, decisions(trace, config));
    EXPECT_EQ(run(trace, config).node_failures, 0u);
  }
}

TEST(ClusterFailures, RefusesTimesOutOfRange) {
  const Trace trace = trace_of({{0}});
  for (const auto& [mtbf, repair] : {std::pair<Nanos, Nanos>{Millis(1), Seconds(1)},
                                     {kMtbfMax + Seconds(1), Seconds(1)},
                                     {Seconds(10), Nanos(-1)},
                                     {Seconds(10), kMtbfMax + Seconds(1)}}) {
    ClusterConfig config = plain_config();
    config.mtbf = mtbf;
    config.repair = repair;
    EXPECT_EQ(run_cluster(trace, config).status().code(), Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace mooncake::sim
