#include "cli/decision_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "serve/gateway/decision_log.h"

namespace mooncake::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

serve::RequestRecord accepted_record() {
  serve::RequestRecord record;
  record.id = "req-1";
  record.outcome = "ok";
  record.prompt_tokens = 2048;
  record.prefill = "prefill-1";
  record.decode = "decode-0";
  record.cached_tokens = 1984;
  record.ttft_ms = 31.25;
  serve::DecisionRecord decision;
  decision.prefill = "prefill-1";
  decision.decode = "decode-0";
  decision.decision.verdict = conductor::Verdict::kAccept;
  decision.decision.reason = "lowest predicted TTFT";
  serve::CandidateRecord first{.name = "prefill-0", .fetch_from = {}, .chosen = false, .cost = {}};
  first.cost.queue = Millis(700);
  serve::CandidateRecord second{.name = "prefill-1", .fetch_from = "node-0", .chosen = true, .cost = {}};
  second.cost.reused_blocks = 31;
  serve::CandidateRecord third{.name = "decode-0", .fetch_from = {}, .chosen = true, .cost = {}};
  third.cost.role = conductor::Role::kDecode;
  decision.candidates = {first, second, third};
  record.decisions.push_back(decision);
  return record;
}

TEST(DecisionView, ShowsEveryCandidateTheReasonAndWhatHappened) {
  auto page = decision_view(serve::decision_body(accepted_record()));
  ASSERT_TRUE(page.ok()) << page.status().to_string();
  for (const char* part : {"req-1", "lowest predicted TTFT", "* prefill-1", "  prefill-0", "decode-0", "31 blocks",
                           "node-0", "700.0", "TTFT 31.2 ms", "1984 prompt tokens from the cache", "fetch - ms"}) {
    EXPECT_THAT(*page, HasSubstr(part));
  }
  EXPECT_THAT(*page, Not(HasSubstr("refused")));
}

TEST(DecisionView, RefusalSaysWhenToComeBack) {
  serve::RequestRecord record;
  record.id = "req-2";
  record.outcome = "rejected";
  serve::DecisionRecord decision;
  decision.decision.verdict = conductor::Verdict::kReject;
  decision.decision.reason = "TTFT would be 9 s";
  decision.decision.retry_after = Seconds(8);
  record.decisions.push_back(decision);
  auto page = decision_view(serve::decision_body(record));
  ASSERT_TRUE(page.ok());
  EXPECT_THAT(*page, HasSubstr("TTFT would be 9 s"));
  EXPECT_THAT(*page, HasSubstr("try again after 8000.0 ms"));
}

TEST(DecisionView, ForeignTextIsRefused) {
  for (const char* foreign : {"", "null", "{}", "<html>", "[1]"}) {
    EXPECT_EQ(decision_view(foreign).status().code(), Code::kCorrupt) << foreign;
  }
}

}  // namespace
}  // namespace mooncake::cli
