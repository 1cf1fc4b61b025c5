#include "serve/gateway/decision_log.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mooncake::serve {
namespace {

TEST(DecisionLog, ForgetsTheOldestAtItsLimit) {
  DecisionLog log(2);
  const auto held = log.open("a");
  log.open("b");
  log.open("c");
  EXPECT_EQ(log.find("a"), nullptr);
  EXPECT_NE(log.find("b"), nullptr);
  EXPECT_NE(log.find("c"), nullptr);
  held->outcome = "ok";  // a request that outlives its place in the log still has its record
}

TEST(DecisionLog, ShowsCandidatesAndWhatReallyHappened) {
  DecisionLog log;
  const auto record = log.open("cmpl-1");
  record->prompt_tokens = 200;
  record->queue_ms = 1.5;
  record->prefill = "prefill-1";
  DecisionRecord decision{.prefill = "prefill-1", .decode = "decode-0"};
  decision.decision.verdict = conductor::Verdict::kAccept;
  decision.decision.reason = "least predicted TTFT";
  decision.decision.predicted_ttft = Millis(12);
  CandidateRecord candidate{.name = "prefill-1", .fetch_from = "node-0", .chosen = true};
  candidate.cost.transfer = Micros(1500);
  decision.candidates.push_back(candidate);
  candidate = {.name = "decode-0", .fetch_from = "", .chosen = true};
  candidate.cost.role = conductor::Role::kDecode;
  candidate.cost.tbt = Millis(3);
  decision.candidates.push_back(candidate);
  record->decisions.push_back(decision);

  const auto body = nlohmann::json::parse(decision_body(*log.find("cmpl-1")));
  EXPECT_EQ(body["outcome"], "running");
  EXPECT_EQ(body["actual"]["prefill"], "prefill-1");
  EXPECT_EQ(body["actual"]["queue_ms"], 1.5);
  EXPECT_TRUE(body["actual"]["ttft_ms"].is_null()) << "no token yet";
  const auto& shown = body["decisions"][0];
  EXPECT_EQ(shown["accepted"], true);
  EXPECT_EQ(shown["predicted_ttft_ms"], 12.0);
  EXPECT_EQ(shown["candidates"][0]["transfer_ms"], 1.5);
  EXPECT_EQ(shown["candidates"][0]["fetch_from"], "node-0");
  EXPECT_EQ(shown["candidates"][1]["role"], "decode");
  EXPECT_EQ(shown["candidates"][1]["tbt_ms"], 3.0);
}

}  // namespace
}  // namespace mooncake::serve
