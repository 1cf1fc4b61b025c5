#include "sim/cluster/instance_use.h"

#include <gtest/gtest.h>

#include "sim/testing.h"

namespace mooncake::sim {
namespace {

using testing::trace_of;

Instant at(int seconds) { return Instant(Seconds(seconds)); }

TEST(InstanceUse, PrefillCountsWhatEachComputedAndWhatWasForNothing) {
  const Trace trace = trace_of({{0, 1}, {0, 2, 3}, {4}, {5}});
  const RequestOutcome first{
      .outcome = Outcome::kCompleted, .prefill = 1, .prefill_start = at(2), .first_token = at(5)};
  RequestOutcome wasted = first;
  wasted.outcome = Outcome::kRejectedAfterPrefill;
  wasted.reused_blocks = 1;
  RequestOutcome other = first;
  other.prefill = 0;
  const std::vector<PrefillUse> use = prefill_use(trace, {.requests = {first, wasted, other, {}}}, 3);
  ASSERT_EQ(use.size(), 3u);
  EXPECT_EQ(use[0].prompts, 1u) << "one was refused";
  EXPECT_EQ(use[1].prompts, 2u);
  EXPECT_EQ(use[1].wasted, 1u);
  EXPECT_EQ(use[1].busy, Seconds(6));
  EXPECT_EQ(use[1].prompt_blocks, 5u);
  EXPECT_EQ(use[1].reused_blocks, 1u);
  EXPECT_EQ(use[2].busy, Nanos{0});
}

TEST(InstanceUse, DecodeIsBusyWhileItHasAnyRequest) {
  const auto decoded = [](std::uint32_t instance, int first_token, int end) {
    return RequestOutcome{
        .outcome = Outcome::kCompleted, .decode = instance, .first_token = at(first_token), .end = at(end)};
  };
  RequestOutcome refused_late = decoded(0, 90, 95);
  refused_late.outcome = Outcome::kRejectedAfterPrefill;
  const std::vector<DecodeUse> use = decode_use({.requests = {decoded(0, 20, 30), decoded(0, 1, 10), decoded(0, 2, 4),
                                                              decoded(0, 9, 12), decoded(1, 3, 3), refused_late}},
                                                2);
  EXPECT_EQ(use[0].requests, 4u);
  EXPECT_EQ(use[0].busy, Seconds(11 + 10)) << "1 to 12, and 20 to 30";
  EXPECT_EQ(use[0].request_time, Seconds(10 + 9 + 2 + 3));
  EXPECT_EQ(use[1].requests, 0u) << "an answer of one token is over with its prefill";
}

}  // namespace
}  // namespace mooncake::sim
