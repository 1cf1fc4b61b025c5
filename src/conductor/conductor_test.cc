#include "conductor/conductor.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <set>

#include "conductor/local/fair_line.h"
#include "conductor/testing.h"

namespace mooncake::conductor {
namespace {

using testing::make_keys;
using testing::PlainCosts;
using testing::up;

constexpr std::array kAdmissions = {AdmissionPolicy::kNone, AdmissionPolicy::kBaseline, AdmissionPolicy::kEarly,
                                    AdmissionPolicy::kPredictive, AdmissionPolicy::kSurvival};

Instant at(int ms) { return Instant(Millis(ms)); }

// A Conductor with prefill instances 0 and 1 at nodes 0 and 1, and decode instance 2.
struct Cluster {
  explicit Cluster(ConductorConfig config = {}) {
    auto costs = std::make_unique<PlainCosts>();
    cost = costs.get();
    conductor = Conductor::create(config, std::move(costs));
    conductor->on_instance(up(0, Role::kPrefill, 0), at(0));
    conductor->on_instance(up(1, Role::kPrefill, 1), at(0));
    conductor->on_instance(up(2, Role::kDecode, 0), at(0));
  }

  void store(std::uint32_t node, const std::vector<Key128>& keys, Tier tier = Tier::kMemory) {
    tell({.kind = CacheEvent::Kind::kStored, .node = NodeId{node}, .tier = tier, .keys = keys});
  }
  void tell(const CacheEvent& event) { conductor->on_cache(std::span(&event, 1), at(0)); }
  Decision ask(std::uint64_t number, const std::vector<Key128>& keys, int at_ms = 0, std::uint32_t tail_tokens = 40) {
    request.number = RequestNumber{number};
    request.prompt_tokens = static_cast<std::uint32_t>(keys.size()) * 64 + tail_tokens;
    request.block_keys = keys;
    return conductor->on_request(request, at(at_ms));
  }

  PlainCosts* cost = nullptr;
  std::unique_ptr<Conductor> conductor;
  RequestView request{.answer_tokens_max = 100, .slo = {}};
};

TEST(Conductor, RepeatedPrefixGoesWhereItIs) {
  Cluster cluster;
  const auto keys = make_keys(1, 20);
  cluster.store(1, keys);
  const Decision decision = cluster.ask(1, keys, 0, 100);
  ASSERT_EQ(decision.verdict, Verdict::kAccept) << decision.reason;
  EXPECT_EQ(decision.prefill, InstanceId{1});
  EXPECT_EQ(decision.decode, InstanceId{2});
  EXPECT_EQ(decision.reused_blocks, 20u);
  EXPECT_FALSE(decision.recompute);
  EXPECT_FALSE(decision.reuse_blocks_max);
  EXPECT_EQ(decision.predicted_ttft, Millis(100));
  ASSERT_EQ(decision.candidates.size(), 3u);
  EXPECT_EQ(decision.candidates[0].transfer, Micros(20 * 64 * 100));
  EXPECT_EQ(decision.candidates[0].fetch_from, NodeId{1});
  EXPECT_EQ(decision.candidates[2].role, Role::kDecode);
  EXPECT_NE(decision.reason.find("TTFT 100.0 ms on prefill-1"), std::string::npos) << decision.reason;
}

TEST(Conductor, BusyHolderGivesThePrefixToAnIdleInstance) {
  Cluster cluster;
  const auto keys = make_keys(1, 20);
  cluster.store(1, keys);
  ASSERT_EQ(cluster.ask(1, keys, 0, 200).prefill, InstanceId{1});
  // On 1: 200 ms of queue. On 0: 128 ms of transfer.
  const Decision second = cluster.ask(2, keys, 0, 200);
  EXPECT_EQ(second.prefill, InstanceId{0});
  EXPECT_EQ(second.reused_blocks, 20u);
  // The sender is busy for 128 ms with the second one's transfer now: 0 costs 256 + 200 + 200, 1 costs 200 + 200.
  const Decision third = cluster.ask(3, keys, 0, 200);
  EXPECT_EQ(third.candidates[0].transfer, Millis(256));
  EXPECT_EQ(third.candidates[0].queue, Millis(200));
  EXPECT_EQ(third.prefill, InstanceId{1});
}

TEST(Conductor, AbortedRequestGivesItsBookingsBack) {
  Cluster cluster;
  const auto keys = make_keys(1, 10);
  const Decision first = cluster.ask(1, keys);
  EXPECT_EQ(first.prefill, InstanceId{0});
  EXPECT_EQ(cluster.ask(2, keys).prefill, InstanceId{1}) << "0 is booked";
  cluster.conductor->on_phase(RequestNumber{1}, Phase::kAbort, at(0));
  cluster.conductor->on_phase(RequestNumber{2}, Phase::kPrefillEnd, at(0));
  cluster.conductor->on_phase(RequestNumber{99}, Phase::kAbort, at(0));
  const Decision third = cluster.ask(3, keys);
  EXPECT_EQ(third.prefill, InstanceId{0});
  EXPECT_EQ(third.candidates[0].queue, Nanos(0));
  EXPECT_EQ(third.candidates[1].queue, Nanos(0));
  EXPECT_EQ(third.candidates[2].tbt, Millis(2) + Micros(680 + 680)) << "request 2 still decodes";
}

TEST(Conductor, LostInstanceIsNotChosenAndItsBookingsAreReleased) {
  Cluster cluster;
  const auto keys = make_keys(1, 10);
  ASSERT_EQ(cluster.ask(1, keys).prefill, InstanceId{0});
  cluster.conductor->on_instance({.kind = InstanceChange::Kind::kDown, .id = InstanceId{0}}, at(0));
  const Decision again = cluster.ask(1, keys);
  EXPECT_EQ(again.prefill, InstanceId{1});
  EXPECT_EQ(again.candidates.size(), 2u);
  cluster.conductor->on_instance(up(0, Role::kPrefill, 0), at(10));
  EXPECT_EQ(cluster.ask(2, keys, 10).candidates[0].queue, Nanos(0));
}

TEST(Conductor, DrainingInstanceGetsNothingNew) {
  Cluster cluster;
  cluster.conductor->on_instance({.kind = InstanceChange::Kind::kDraining, .id = InstanceId{0}}, at(0));
  for (std::uint64_t i = 0; i < 5; ++i) EXPECT_EQ(cluster.ask(i, make_keys(i, 3)).prefill, InstanceId{1});
}

TEST(Conductor, AnInstanceMayComeBackInTheOtherRole) {
  Cluster cluster;
  ASSERT_EQ(cluster.ask(1, make_keys(1, 10)).prefill, InstanceId{0});
  cluster.conductor->on_instance({.kind = InstanceChange::Kind::kDraining, .id = InstanceId{0}}, at(0));
  cluster.conductor->on_phase(RequestNumber{1}, Phase::kPrefillEnd, at(0));
  cluster.conductor->on_instance({.kind = InstanceChange::Kind::kDown, .id = InstanceId{0}}, at(0));
  cluster.conductor->on_instance(up(0, Role::kDecode, 0), at(0));
  const Decision decision = cluster.ask(2, make_keys(2, 10));
  EXPECT_EQ(decision.prefill, InstanceId{1});
  EXPECT_EQ(decision.decode, InstanceId{0}) << "request 1 decodes on 2";
  cluster.conductor->on_instance({.kind = InstanceChange::Kind::kDown, .id = InstanceId{0}}, at(0));
  cluster.conductor->on_instance(up(0, Role::kPrefill, 0), at(0));
  EXPECT_EQ(cluster.ask(3, make_keys(3, 10)).prefill, InstanceId{0}) << "with nothing left of what it decoded";
}

TEST(Conductor, WithoutInstancesItRefusesAndSaysWhich) {
  Cluster cluster;
  cluster.conductor->on_instance({.kind = InstanceChange::Kind::kDown, .id = InstanceId{2}}, at(0));
  const Decision no_decode = cluster.ask(1, make_keys(1, 3));
  EXPECT_EQ(no_decode.verdict, Verdict::kReject);
  EXPECT_EQ(no_decode.refusal, RefusalKind::kNoInstance);
  EXPECT_EQ(no_decode.reason, "no decode instance is up");
  EXPECT_EQ(no_decode.retry_after, Seconds(1));
  for (const std::uint32_t id : {0u, 1u}) {
    cluster.conductor->on_instance({.kind = InstanceChange::Kind::kDown, .id = InstanceId{id}}, at(0));
  }
  EXPECT_EQ(cluster.ask(1, make_keys(1, 3)).reason, "no prefill instance is up");
}

TEST(Conductor, SteeringOverridesPlacementButNotExistence) {
  Cluster cluster;
  const auto keys = make_keys(1, 20);
  cluster.store(1, keys);
  cluster.request.place_prefill = InstanceId{0};
  const Decision steered = cluster.ask(1, keys);
  EXPECT_EQ(steered.prefill, InstanceId{0});
  EXPECT_EQ(steered.reused_blocks, 20u) << "it fetches what node 1 has";
  EXPECT_NE(steered.reason.find("placed by the client"), std::string::npos);
  cluster.request.place_prefill = InstanceId{2};
  EXPECT_EQ(cluster.ask(2, keys).verdict, Verdict::kReject) << "a decode instance";
  cluster.request.place_prefill = InstanceId{77};
  EXPECT_EQ(cluster.ask(2, keys).verdict, Verdict::kReject);
}

TEST(Conductor, ClearedNodeIsNoReasonToGoThere) {
  Cluster cluster;
  const auto keys = make_keys(1, 20);
  cluster.store(1, keys);
  const CacheEvent cleared{.kind = CacheEvent::Kind::kCleared, .node = NodeId{1}, .keys = {}};
  cluster.conductor->on_cache(std::span(&cleared, 1), at(0));
  const Decision decision = cluster.ask(1, keys);
  EXPECT_EQ(decision.prefill, InstanceId{0});
  EXPECT_EQ(decision.reused_blocks, 0u);
  EXPECT_FALSE(decision.recompute) << "there is nothing to fetch anyway";
}

TEST(Conductor, RemovedBlockEndsThePrefix) {
  Cluster cluster;
  const auto keys = make_keys(1, 20);
  cluster.store(1, keys);
  const CacheEvent removed{.kind = CacheEvent::Kind::kRemoved, .node = NodeId{1}, .keys = {keys[5]}};
  cluster.conductor->on_cache(std::span(&removed, 1), at(0));
  EXPECT_EQ(cluster.ask(1, keys).reused_blocks, 5u);
}

TEST(Conductor, ReadingFromSsdCostsUntilTheBlocksAreInMemoryAgain) {
  Cluster cluster;  // a block: 3.2 ms to read, 64 to compute
  const auto keys = make_keys(1, 10);
  cluster.store(0, keys);
  cluster.store(0, {keys.begin(), keys.begin() + 4}, Tier::kSsd);
  const Decision slow = cluster.ask(1, keys);
  EXPECT_EQ(slow.prefill, InstanceId{0});
  EXPECT_EQ(slow.reused_blocks, 10u) << "what is on SSD is there as well";
  EXPECT_EQ(slow.candidates[0].transfer, Micros(4 * 3'200));
  EXPECT_EQ(slow.candidates[1].transfer, Micros(10 * 6'400)) << "sending takes longer than reading meanwhile";
  EXPECT_EQ(cluster.ask(2, keys).candidates[0].transfer, Micros(8 * 3'200)) << "behind what the first one reads";
  cluster.conductor->on_phase(RequestNumber{1}, Phase::kAbort, at(0));
  cluster.conductor->on_phase(RequestNumber{2}, Phase::kAbort, at(0));

  cluster.store(0, {keys.begin(), keys.begin() + 3});
  EXPECT_EQ(cluster.ask(3, keys).candidates[0].transfer, Micros(3'200));
  cluster.conductor->on_phase(RequestNumber{3}, Phase::kAbort, at(0));
  cluster.tell({.kind = CacheEvent::Kind::kRemoved, .node = NodeId{0}, .keys = {keys[3]}});
  const Decision cut = cluster.ask(4, keys);
  EXPECT_EQ(cut.candidates[0].transfer, Nanos{0});
  EXPECT_EQ(cut.reused_blocks, 3u);
}

TEST(Conductor, FetchesFromMemoryRatherThanFromSsd) {
  Cluster cluster;
  cluster.conductor->on_instance(up(3, Role::kPrefill, 3), at(0));
  const auto keys = make_keys(1, 10);
  cluster.store(0, keys, Tier::kSsd);
  cluster.store(1, keys);
  const Decision decision = cluster.ask(1, keys);
  EXPECT_EQ(decision.candidates[2].instance, InstanceId{3});
  EXPECT_EQ(decision.candidates[2].fetch_from, NodeId{1});
  EXPECT_EQ(decision.candidates[2].fetched_ssd_blocks, 0u);
}

TEST(Conductor, BlocksOfTwoNodesMakeOnePrefix) {
  Cluster cluster;
  const auto keys = make_keys(1, 20);
  cluster.store(0, {keys.begin(), keys.begin() + 8});
  cluster.store(1, {keys.begin() + 8, keys.end()});
  const Decision decision = cluster.ask(1, keys);
  EXPECT_EQ(decision.prefill, InstanceId{0});
  EXPECT_EQ(decision.reused_blocks, 20u);
  EXPECT_EQ(decision.candidates[0].fetch_from, NodeId{1}) << "it holds the first block that node 0 lacks";
}

TEST(Conductor, RecomputesWhatIsDearToFetch) {
  ConductorConfig config;
  auto conductor = Conductor::create(config, std::make_unique<PlainCosts>(Nanos(Millis(2))));
  conductor->on_instance(up(0, Role::kPrefill, 0), at(0));
  conductor->on_instance(up(2, Role::kDecode, 0), at(0));
  const auto keys = make_keys(1, 20);
  const CacheEvent event{.kind = CacheEvent::Kind::kStored, .node = NodeId{1}, .keys = keys};
  conductor->on_cache(std::span(&event, 1), at(0));
  const Decision decision = conductor->on_request(
      {.number = RequestNumber{1}, .prompt_tokens = 1300, .block_keys = keys, .answer_tokens_max = 1, .slo = {}},
      at(0));
  EXPECT_EQ(decision.reused_blocks, 0u);
  EXPECT_TRUE(decision.recompute);
  EXPECT_EQ(decision.reuse_blocks_max, 0u);
}

TEST(Conductor, EarlyAdmissionRefusesUntilTheQueueHasDrained) {
  Cluster cluster({.admission = AdmissionPolicy::kEarly});
  cluster.request.slo = {.ttft = Millis(1800), .tbt = Seconds(1)};  // up to 1,470 ms, with the margin
  int accepted = 0;
  Decision decision;
  for (std::uint64_t i = 0; i < 10; ++i) {
    decision = cluster.ask(i, make_keys(i, 10));  // 680 ms each
    accepted += decision.verdict == Verdict::kAccept;
  }
  EXPECT_EQ(accepted, 4) << "two on each instance: 680 and 1,360 ms";
  EXPECT_EQ(decision.verdict, Verdict::kReject);
  EXPECT_EQ(decision.refusal, RefusalKind::kTtftObjective);
  EXPECT_EQ(decision.predicted_ttft, Millis(3 * 680));
  EXPECT_EQ(decision.retry_after, Millis(3 * 680 + (3 * 680 + 180) / 5 - 1800)) << "a fifth as the margin";
  EXPECT_EQ(cluster.ask(20, make_keys(20, 10), 600).verdict, Verdict::kAccept);
}

// One decode instance with room for the objective of two; A and B run there, C is in prefill.
struct BusyDecode {
  explicit BusyDecode(AdmissionPolicy admission) : cluster({.admission = admission, .decode_time = Millis(2000)}) {
    cluster.request.slo = {.ttft = Seconds(60),
                           .tbt = Micros(8'500)};  // three keep it: 6.6 ms and a fifth as margin; four do not: 8.9
    for (const std::uint64_t number : {1, 2}) {
      EXPECT_EQ(ask(number, 0), Verdict::kAccept);
      finish_prefill(number, 10);
      cluster.conductor->on_phase(RequestNumber{number}, Phase::kDecodeJoin, at(10));
    }
  }
  Verdict ask(std::uint64_t number, int at_ms) { return cluster.ask(number, make_keys(number, 19), at_ms, 0).verdict; }
  void finish_prefill(std::uint64_t number, int at_ms) const {
    cluster.conductor->on_phase(RequestNumber{number}, Phase::kPrefillEnd, at(at_ms));
  }
  Cluster cluster;
};

// A profile that was never measured here may be wrong by any factor, so its refusals are only talk at first.
TEST(Conductor, AdmissionOnlyWatchesUntilPrefillsHaveBeenMeasured) {
  Cluster cluster({.admission = AdmissionPolicy::kEarly, .shadow_prefills = 2});
  cluster.request.slo = {.ttft = Millis(100), .tbt = Seconds(1)};
  const auto keys = make_keys(1, 3);
  const Decision watched = cluster.ask(1, keys);
  ASSERT_EQ(watched.verdict, Verdict::kAccept);
  EXPECT_NE(watched.reason.find("until 2 prefills are measured there"), std::string::npos) << watched.reason;
  EXPECT_NE(watched.reason.find("breaks the objective 0.100 s"), std::string::npos) << watched.reason;
  cluster.conductor->on_phase(RequestNumber{1}, Phase::kAbort, at(0));
  for (int i = 0; i < 2; ++i) {
    cluster.conductor->on_prefill_actual(InstanceId{0}, {.prompt_tokens = 100, .prefill = Millis(100)});
  }
  cluster.request.place_prefill = InstanceId{0};
  EXPECT_EQ(cluster.ask(2, keys).verdict, Verdict::kReject);
  cluster.request.place_prefill = InstanceId{1};
  EXPECT_EQ(cluster.ask(3, keys).verdict, Verdict::kAccept) << "nothing is known of that one";
}

TEST(Conductor, BaselineAlsoOnlyWatchesWhatComesOutOfPrefill) {
  Cluster cluster({.admission = AdmissionPolicy::kBaseline, .shadow_prefills = 1});
  cluster.request.slo = {.ttft = Seconds(60), .tbt = Micros(1)};
  ASSERT_EQ(cluster.ask(1, make_keys(1, 3)).prefill, InstanceId{0});
  EXPECT_FALSE(cluster.conductor->before_decode(RequestNumber{1}, at(10)));
  cluster.conductor->on_prefill_actual(InstanceId{0}, {.prompt_tokens = 100, .prefill = Millis(100)});
  EXPECT_TRUE(cluster.conductor->before_decode(RequestNumber{1}, at(10)));
}

TEST(Conductor, EarlyAdmissionLooksAtWhoDecodesNow) {
  BusyDecode busy(AdmissionPolicy::kEarly);
  EXPECT_EQ(busy.ask(3, 20), Verdict::kAccept);
  EXPECT_EQ(busy.ask(4, 30), Verdict::kAccept) << "3 is in prefill and does not count";
  busy.cluster.conductor->on_phase(RequestNumber{3}, Phase::kDecodeJoin, at(40));
  EXPECT_EQ(busy.ask(5, 50), Verdict::kReject);
}

TEST(Conductor, PredictiveAdmissionLooksAtWhoDecodesThen) {
  BusyDecode busy(AdmissionPolicy::kPredictive);
  EXPECT_EQ(busy.ask(3, 20), Verdict::kAccept) << "in 1.2 s, with 1 and 2 who decode for 2 s";
  EXPECT_EQ(busy.ask(4, 30), Verdict::kReject) << "in 1.2 s, with 1, 2 and 3";
  EXPECT_EQ(busy.ask(5, 1'900), Verdict::kAccept) << "1 and 2 will be gone";
}

TEST(Conductor, SurvivalAdmissionLearnsHowLongRequestsDecode) {
  BusyDecode busy(AdmissionPolicy::kSurvival);
  EXPECT_EQ(busy.ask(3, 20), Verdict::kAccept);
  EXPECT_EQ(busy.ask(4, 30), Verdict::kReject) << "nothing is known: all of them are there";
  // 1 and 2 end after 0.5 s: so will the others, before a prompt of 1.2 s is there.
  for (const std::uint64_t number : {1, 2}) {
    busy.cluster.conductor->on_phase(RequestNumber{number}, Phase::kDecodeEnd, at(510));
  }
  busy.finish_prefill(3, 600);
  busy.cluster.conductor->on_phase(RequestNumber{3}, Phase::kDecodeJoin, at(600));
  for (std::uint64_t number = 10; number < 12; ++number) {
    EXPECT_EQ(busy.ask(number, 610), Verdict::kAccept) << number;
  }
}

TEST(Conductor, BaselineAdmissionJudgesDecodeWhenThePrefillIsSpent) {
  BusyDecode busy(AdmissionPolicy::kBaseline);
  for (const std::uint64_t number : {3, 4}) EXPECT_EQ(busy.ask(number, 20), Verdict::kAccept);
  busy.finish_prefill(3, 1'300);
  EXPECT_FALSE(busy.cluster.conductor->before_decode(RequestNumber{3}, at(1'300)));
  busy.cluster.conductor->on_phase(RequestNumber{3}, Phase::kDecodeJoin, at(1'300));
  busy.finish_prefill(4, 1'400);
  const auto refusal = busy.cluster.conductor->before_decode(RequestNumber{4}, at(1'400));
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->kind, RefusalKind::kTbtObjective);
  EXPECT_NE(refusal->reason.find("time between tokens"), std::string::npos) << refusal->reason;
  EXPECT_GT(refusal->retry_after, Nanos{0});
  EXPECT_FALSE(busy.cluster.conductor->before_decode(RequestNumber{99}, at(1'400)));
}

TEST(Conductor, ReportsOfOthersWorkKeepRequestsAway) {
  Cluster cluster;
  cluster.conductor->on_stats({.id = InstanceId{0}, .outstanding = Seconds(5), .running = 1, .queued = 4}, at(0));
  EXPECT_EQ(cluster.ask(1, make_keys(1, 10)).prefill, InstanceId{1});
  EXPECT_EQ(cluster.ask(2, make_keys(2, 10)).prefill, InstanceId{1});
  cluster.conductor->on_stats({.id = InstanceId{0}, .outstanding = Seconds(0)}, at(100));
  EXPECT_EQ(cluster.ask(3, make_keys(3, 10), 100).prefill, InstanceId{0});
  cluster.conductor->on_stats({.id = InstanceId{55}, .outstanding = Seconds(5)}, at(100));
}

TEST(Conductor, CorrectsTheCostModelWithWhatHappened) {
  Cluster cluster;
  cluster.conductor->on_prefill_actual(InstanceId{1},
                                       {.prompt_tokens = 1000, .reused_tokens = 400, .prefill = Millis(900)});
  ASSERT_EQ(cluster.cost->prefills.size(), 1u);
  EXPECT_EQ(cluster.cost->prefills[0].instance, 1u);
  EXPECT_EQ(cluster.cost->prefills[0].predicted, Millis(600));
  EXPECT_EQ(cluster.cost->prefills[0].actual, Millis(900));

  cluster.conductor->on_stats({.id = InstanceId{2}, .running = 1, .tbt = Millis(9)}, at(0));
  EXPECT_TRUE(cluster.cost->steps.empty()) << "whose requests these are, and how long, is unknown";
  cluster.ask(1, make_keys(1, 10));
  cluster.conductor->on_stats({.id = InstanceId{2}, .running = 1, .tbt = Millis(9)}, at(0));
  ASSERT_EQ(cluster.cost->steps.size(), 1u);
  EXPECT_EQ(cluster.cost->steps[0].predicted, Millis(1) + Micros(680));
}

TEST(Conductor, PoolLoadIsTheLeastLoadedInstanceAgainstTheObjective) {
  Cluster cluster({.slo = {.ttft = Seconds(1), .tbt = Millis(10)}});
  EXPECT_EQ(cluster.conductor->pool_load(Role::kPrefill, at(0)), 0);
  cluster.conductor->on_stats({.id = InstanceId{0}, .outstanding = Seconds(4)}, at(0));
  cluster.conductor->on_stats({.id = InstanceId{1}, .outstanding = Seconds(2)}, at(0));
  EXPECT_DOUBLE_EQ(cluster.conductor->pool_load(Role::kPrefill, at(0)), 2);
  EXPECT_DOUBLE_EQ(cluster.conductor->pool_load(Role::kDecode, at(0)), 0.1);
  cluster.conductor->on_instance({.kind = InstanceChange::Kind::kDown, .id = InstanceId{2}}, at(0));
  EXPECT_EQ(cluster.conductor->pool_load(Role::kDecode, at(0)), std::numeric_limits<double>::infinity());
}

TEST(Conductor, APromptOfAnotherTenantWaitsForItsTurn) {
  Cluster cluster;
  cluster.conductor->on_instance({.kind = InstanceChange::Kind::kDown, .id = InstanceId{1}}, at(0));
  cluster.request.tenant = {.id = TenantId{1}};
  for (std::uint64_t i = 0; i < 20; ++i) cluster.ask(i, make_keys(i, 1));  // 104 ms each
  const Decision more = cluster.ask(20, make_keys(20, 1));
  EXPECT_EQ(more.candidates[0].queue, Millis(20 * 104));
  cluster.request.tenant = {.id = TenantId{2}};
  const Decision other = cluster.ask(30, make_keys(30, 1));
  EXPECT_EQ(other.candidates[0].queue, Millis(104) + 2 * kTurnQuantum) << "the one in work, and two turns of the other";
  EXPECT_EQ(other.candidates[0].outstanding, Millis(21 * 104));
  EXPECT_EQ(other.predicted_ttft, other.candidates[0].queue + Millis(104));
  cluster.request.tenant = {.id = TenantId{3}, .weight = 2};
  EXPECT_EQ(cluster.ask(31, make_keys(31, 1)).candidates[0].queue, Millis(104) + 2 * kTurnQuantum) << "one of each";
}

/// What of `requests` that come at once one instance admits by an objective of 10 s; 1.04 s each.
int admitted(AdmissionPolicy policy, Priority priority, bool beside_high) {
  Cluster cluster({.admission = policy});
  cluster.conductor->on_instance({.kind = InstanceChange::Kind::kDown, .id = InstanceId{1}}, at(0));
  cluster.conductor->on_instance(up(2, Role::kDecode, 0, /*sequences_max=*/64), at(0));
  cluster.request.slo = {.ttft = Seconds(10), .tbt = Seconds(60)};
  if (beside_high) {
    cluster.request.priority = Priority::kHigh;
    cluster.ask(1'000, make_keys(1'000, 1));
    cluster.conductor->on_phase(RequestNumber{1'000}, Phase::kAbort, at(0));
  }
  cluster.request.priority = priority;
  int count = 0;
  for (std::uint64_t i = 0; i < 30; ++i) {
    count += cluster.ask(i, make_keys(i, 1), 0, 976).verdict == Verdict::kAccept;
  }
  return count;
}

TEST(Conductor, LowIsRefusedBeforeNormalAndNormalBeforeHigh) {
  for (const AdmissionPolicy policy :
       {AdmissionPolicy::kBaseline, AdmissionPolicy::kEarly, AdmissionPolicy::kSurvival}) {
    EXPECT_LT(admitted(policy, Priority::kLow, false), admitted(policy, Priority::kNormal, false));
    EXPECT_LT(admitted(policy, Priority::kLow, true), admitted(policy, Priority::kNormal, true));
    EXPECT_LT(admitted(policy, Priority::kNormal, true), admitted(policy, Priority::kHigh, true));
    EXPECT_LT(admitted(policy, Priority::kNormal, true), admitted(policy, Priority::kNormal, false));
    EXPECT_EQ(admitted(policy, Priority::kHigh, false), 9) << "9.4 s; without a margin";
  }
  EXPECT_EQ(admitted(AdmissionPolicy::kNone, Priority::kLow, true), 30);
}

TEST(Conductor, ARefusalSaysWhatItsPriorityMayUse) {
  Cluster cluster({.admission = AdmissionPolicy::kEarly});
  cluster.request.slo = {.ttft = Seconds(1), .tbt = Seconds(60)};
  cluster.request.priority = Priority::kLow;
  const Decision refused = cluster.ask(1, make_keys(1, 1), 0, 600);
  ASSERT_EQ(refused.verdict, Verdict::kReject);
  EXPECT_NE(refused.reason.find("0.700 s, its priority's 0.70 of the objective 1.000 s"), std::string::npos)
      << refused.reason;
}

TEST(Conductor, EveryKindOfRefusalHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kRefusalKinds; ++i) names.insert(refusal_name(static_cast<RefusalKind>(i)));
  EXPECT_EQ(names.size(), kRefusalKinds);
}

TEST(Conductor, PolicyNamesRoundTripAndErrorsNameTheChoices) {
  for (const auto policy :
       {PlacementPolicy::kCostMin, PlacementPolicy::kAlgorithm1, PlacementPolicy::kRandom, PlacementPolicy::kRoundRobin,
        PlacementPolicy::kLeastOutstanding, PlacementPolicy::kLeastTime, PlacementPolicy::kLocal}) {
    EXPECT_EQ(*parse_placement(placement_name(policy)), policy);
  }
  for (const auto policy : kAdmissions) {
    EXPECT_EQ(*parse_admission(admission_name(policy)), policy);
  }
  for (const auto priority : {Priority::kLow, Priority::kNormal, Priority::kHigh}) {
    EXPECT_EQ(*parse_priority(priority_name(priority)), priority);
  }
  const auto unknown = parse_placement("best");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.status().code(), Code::kInvalidArgument);
  EXPECT_NE(unknown.status().message().find(
                "cost-min, algorithm1, random, round-robin, least-outstanding, least-time, local"),
            std::string::npos);
}

std::string text_of(const Decision& decision) {
  std::string text = std::to_string(static_cast<int>(decision.verdict)) + " " +
                     std::to_string(static_cast<std::uint32_t>(decision.prefill)) + " " +
                     std::to_string(static_cast<std::uint32_t>(decision.decode)) + " " + decision.reason;
  for (const Candidate& candidate : decision.candidates) text += " " + std::to_string(candidate.ttft.count());
  return text;
}

// Drives two Conductors with the same random requests, phases, losses and reports.
TEST(Conductor, SameInputGivesTheSameDecisions) {
  for (const auto policy :
       {PlacementPolicy::kCostMin, PlacementPolicy::kAlgorithm1, PlacementPolicy::kRandom, PlacementPolicy::kRoundRobin,
        PlacementPolicy::kLeastOutstanding, PlacementPolicy::kLeastTime, PlacementPolicy::kLocal}) {
    Rng rng(21);
    const ConductorConfig config{.placement = policy,
                                 .admission = kAdmissions[static_cast<std::size_t>(policy) % kAdmissions.size()],
                                 .seed = 9};
    Cluster a(config), b(config);
    int now = 0;
    std::set<std::string> seen;
    for (std::uint64_t i = 0; i < 2'000; ++i) {
      now += static_cast<int>(rng.below(400));
      const auto keys = make_keys(rng.below(5), static_cast<std::uint32_t>(rng.below(20)));
      const std::string text = text_of(a.ask(i, keys, now));
      ASSERT_EQ(text, text_of(b.ask(i, keys, now))) << i;
      seen.insert(text);
      const std::uint64_t other = rng.below(i + 1);
      const auto phase = static_cast<Phase>(rng.below(5));
      const auto lost = static_cast<std::uint32_t>(rng.below(2));
      const bool loses = rng.below(50) == 0;
      const auto node = static_cast<std::uint32_t>(rng.below(2));
      const InstanceStats stats{.id = InstanceId{lost}, .outstanding = Millis(rng.below(3'000))};
      for (Cluster* cluster : {&a, &b}) {
        cluster->conductor->on_phase(RequestNumber{other}, phase, at(now));
        cluster->conductor->on_stats(stats, at(now));
        cluster->store(node, keys);
        if (!loses) continue;
        cluster->conductor->on_instance({.kind = InstanceChange::Kind::kDown, .id = InstanceId{lost}}, at(now));
        cluster->conductor->on_instance(up(lost, Role::kPrefill, lost), at(now));
      }
    }
    EXPECT_GT(seen.size(), 100u) << "the run was too dull to prove anything";
  }
}

}  // namespace
}  // namespace mooncake::conductor
