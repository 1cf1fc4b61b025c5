#include "conductor/journal.h"

#include <gtest/gtest.h>

#include <sstream>

#include "conductor/testing.h"

namespace mooncake::conductor {
namespace {

using testing::make_keys;
using testing::up;

/// What a Conductor with two prefill and one decode instance writes while it is told of requests, of their ends, of
/// reports, caches and losses, all at random.
std::string record(const ConductorConfig& config, std::uint64_t requests = 400) {
  auto out = std::make_shared<std::ostringstream>();
  const auto conductor = make_journaling(config, *kvcache::builtin_profile("smollm2-cpu"), out);
  Rng rng(12);
  Instant now(Seconds(100));
  conductor->on_instance(up(0, Role::kPrefill, 0), now);
  conductor->on_instance(up(1, Role::kPrefill, 1), now);
  conductor->on_instance(up(2, Role::kDecode, 0), now);
  for (std::uint64_t i = 0; i < requests; ++i) {
    now += Millis(rng.below(900));
    const auto keys = make_keys(rng.below(9), static_cast<std::uint32_t>(rng.below(20)));
    RequestView request{.number = RequestNumber{i},
                        .prompt_tokens = static_cast<std::uint32_t>(keys.size()) * 64 + 30,
                        .block_keys = keys,
                        .answer_tokens_max = 100,
                        .slo = {.ttft = Seconds(5), .tbt = Millis(60)},
                        .priority = static_cast<Priority>(rng.below(3)),
                        .tenant = {.id = TenantId{rng.below(3)}, .weight = 1 + static_cast<std::uint32_t>(i % 2)}};
    if (rng.below(20) == 0) request.place_prefill = InstanceId{1};
    (void)conductor->on_request(request, now);
    const RequestNumber other{rng.below(i + 1)};
    conductor->on_phase(other, static_cast<Phase>(rng.below(5)), now);
    (void)conductor->before_decode(other, now);
    conductor->on_tbt_actual(other, Millis(rng.below(90)), now);
    conductor->on_prefill_actual(InstanceId{0},
                                 {.prompt_tokens = 500, .reused_tokens = 64, .prefill = Millis(rng.below(3'000))});
    conductor->on_stats({.id = InstanceId{2}, .running = 2, .kv_tokens_used = 2'000, .tbt = Millis(rng.below(50))},
                        now);
    const CacheEvent event{.kind = static_cast<CacheEvent::Kind>(rng.below(8) == 0 ? 2 : rng.below(2)),
                           .node = NodeId{static_cast<std::uint32_t>(rng.below(2))},
                           .tier = static_cast<Tier>(rng.below(2)),
                           .keys = keys};
    conductor->on_cache(std::span(&event, 1), now);
    std::vector<Action> actions;
    conductor->on_tick(now, actions);
    if (rng.below(60) != 0) continue;
    conductor->on_instance({.kind = InstanceChange::Kind::kDown, .id = InstanceId{1}}, now);
    conductor->on_instance(up(1, Role::kPrefill, 1), now);
  }
  return out->str();
}

Result<ReplayReport> replay(const std::string& journal) {
  std::istringstream in(journal);
  return replay_journal(in);
}

TEST(Journal, EveryPolicyDecidesTheSameAgain) {
  for (const std::string placement : {"cost-min", "algorithm1", "random", "round-robin", "least-outstanding"}) {
    for (const std::string admission : {"none", "baseline", "early", "predictive", "survival"}) {
      const std::string journal = record({.placement = *parse_placement(placement),
                                          .admission = *parse_admission(admission),
                                          .decode_time = Seconds(3),
                                          .seed = 77},
                                         120);
      const auto report = replay(journal);
      ASSERT_TRUE(report.ok()) << report.status().to_string();
      EXPECT_EQ(report->decisions, 240u) << "requests, and second looks at them";
      EXPECT_EQ(report->different, 0u) << report->first_recorded << "\n" << report->first_made;
    }
  }
}

// Requests as they were written before there were priorities and tenants.
TEST(Journal, OfOneTenantAndNormalPriorityIsReadWithoutSayingSo) {
  auto out = std::make_shared<std::ostringstream>();
  const auto conductor = make_journaling({}, *kvcache::builtin_profile("smollm2-cpu"), out);
  conductor->on_instance(up(0, Role::kPrefill, 0), Instant(Seconds(1)));
  conductor->on_instance(up(1, Role::kDecode, 0), Instant(Seconds(1)));
  for (std::uint64_t i = 0; i < 5; ++i) {
    (void)conductor->on_request({.number = RequestNumber{i}, .prompt_tokens = 100, .slo = {}}, Instant(Seconds(2)));
  }
  std::string journal = out->str();
  for (const std::string option : {R"(,"shadow_prefills":0)", R"(,"elastic":false)", R"(,"replicate":false)"}) {
    ASSERT_NE(journal.find(option), std::string::npos);
    journal.erase(journal.find(option), option.size());
  }
  const std::string fields = R"(,"priority":1,"tenant":0,"weight":1)";
  EXPECT_EQ(journal.find("outstanding"), std::string::npos);
  for (std::size_t at = journal.find(fields); at != std::string::npos; at = journal.find(fields)) {
    journal.erase(at, fields.size());
  }
  EXPECT_EQ(journal.find("tenant"), std::string::npos);
  const auto report = replay(journal);
  ASSERT_TRUE(report.ok()) << report.status().to_string();
  EXPECT_EQ(report->decisions, 5u);
  EXPECT_EQ(report->different, 0u);
}

TEST(Journal, HoldsTheCopiesThatTicksAskFor) {
  const std::string journal = record({.slo = {.ttft = Seconds(5), .tbt = Millis(60)}, .replicate = true});
  const auto report = replay(journal);
  ASSERT_TRUE(report.ok()) << report.status().to_string();
  EXPECT_EQ(report->decisions, 1200u) << "requests, second looks at them, and ticks";
  EXPECT_EQ(report->different, 0u) << report->first_recorded << "\n" << report->first_made;
  EXPECT_NE(journal.find(R"("decided":[{"kind":1,)"), std::string::npos) << "a copy";
}

TEST(Journal, HoldsTheTicksOfAnElasticCluster) {
  const std::string journal = record({.admission = AdmissionPolicy::kSurvival, .elastic = true});
  const auto report = replay(journal);
  ASSERT_TRUE(report.ok()) << report.status().to_string();
  EXPECT_EQ(report->decisions, 1200u) << "requests, second looks at them, and ticks";
  EXPECT_EQ(report->different, 0u) << report->first_recorded << "\n" << report->first_made;
}

TEST(Journal, AnotherAnswerIsFoundAndShown) {
  std::string journal = record({});
  const std::size_t at = journal.find("\"predicted_ttft\":", journal.size() / 2);
  journal.insert(at + std::string("\"predicted_ttft\":").size(), "1");
  const auto report = replay(journal);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->different, 1u);
  EXPECT_GT(report->first_line.value(), 100u);
  EXPECT_NE(report->first_recorded, report->first_made);
}

TEST(Journal, ALineThatWasCutOffAtTheEndIsLeftOut) {
  const std::string journal = record({});
  const auto whole = replay(journal);
  const auto cut = replay(journal.substr(0, journal.size() - 20));
  ASSERT_TRUE(cut.ok()) << cut.status().to_string();
  EXPECT_EQ(cut->calls + 1, whole->calls);
  EXPECT_EQ(cut->different, 0u);
}

TEST(Journal, WhatIsNoJournalIsRefusedWithItsLine) {
  const std::string journal = record({});
  const std::string head = journal.substr(0, journal.find('\n') + 1);
  for (const auto& [text, expected] : std::vector<std::pair<std::string, std::string>>{
           {"", "empty"},
           {"hello\n", "line 1"},
           {"{\"journal\":2}\n", "another version"},
           {head + "[]\n", "line 2"},
           {head + "{\"at\":1,\"call\":\"sing\",\"told\":{}}\n", "sing"},
           {head + "{\"at\":1,\"call\":\"request\",\"told\":{}}\n", "request"},
           {head + "{\"at\":1,\"call\":\"phase\",\"told\":{\"request\":1,\"phase\":9}}\n", "no phase 9"},
           {head + R"({"at":1,"call":"cache","told":{"kind":0,"node":99999999,"keys":[[1,2]]}})" + "\n",
            "node 99999999"},
           {head + R"({"at":1,"call":"stats","told":{"instance":4294967295}})" + "\n", "instance 4294967295"},
           {head + "{\"at\":5,\"call\":\"phase\",\"told\":{\"request\":1,\"phase\":1}}\n"
                   "{\"at\":4,\"call\":\"phase\",\"told\":{\"request\":1,\"phase\":1}}\n",
            "backwards"}}) {
    const auto report = replay(text);
    ASSERT_FALSE(report.ok()) << text;
    EXPECT_EQ(report.status().code(), Code::kInvalidArgument);
    EXPECT_NE(report.status().message().find(expected), std::string::npos) << report.status().message();
  }
}

}  // namespace
}  // namespace mooncake::conductor
