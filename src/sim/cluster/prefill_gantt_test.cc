#include "sim/cluster/prefill_gantt.h"

#include <gtest/gtest.h>

namespace mooncake::sim {
namespace {

RequestOutcome computed(std::uint32_t instance, Nanos begin, Nanos end) {
  return {.outcome = Outcome::kCompleted,
          .prefill = instance,
          .prefill_start = Instant(begin),
          .first_token = Instant(end),
          .end = Instant(end)};
}

TEST(PrefillGantt, HasABarForEachPrefillInTheOrderOfTheirBeginnings) {
  RequestOutcome wasted = computed(0, Seconds(2), Seconds(4));
  wasted.outcome = Outcome::kRejectedAfterPrefill;
  const ClusterResult result{
      .requests = {wasted, {.outcome = Outcome::kRejected}, computed(1, Seconds(1), Millis(2'500))}};
  const auto gantt = prefill_gantt(result, {}, 3);
  ASSERT_TRUE(gantt);
  EXPECT_EQ(gantt->rows, (std::vector<std::string>{"prefill-0", "prefill-1", "prefill-2"}));
  ASSERT_EQ(gantt->bars.size(), 2u);
  EXPECT_EQ(gantt->bars[0].row, 1u);
  EXPECT_EQ(gantt->bars[0].kind, 0u);
  EXPECT_DOUBLE_EQ(gantt->bars[0].begin, 1);
  EXPECT_DOUBLE_EQ(gantt->bars[0].end, 2.5);
  EXPECT_EQ(gantt->kinds[gantt->bars[1].kind], "refused after its prefill");
  EXPECT_TRUE(gantt->note.starts_with("All prompts of the run.")) << gantt->note;
}

TEST(PrefillGantt, OfALongRunShowsThePartInWhichMostPromptsWait) {
  ClusterResult result;
  for (int i = 0; i < 20'000; ++i) result.requests.push_back(computed(0, Seconds(i), Seconds(i + 1)));
  ClusterTimeline timeline{.window = Seconds(5'000), .windows = {}};
  for (int i = 0; i < 4; ++i) timeline.windows.push_back({.begin = Instant(Seconds(i * 5'000))});
  const auto begin_of = [&](std::size_t peak) {
    for (TimelineWindow& window : timeline.windows) window.waiting = 1;
    timeline.windows[peak].waiting = 2;
    const auto gantt = prefill_gantt(result, timeline, 1);
    EXPECT_EQ(gantt->bars.size(), kGanttBarsMax);
    return gantt->bars.front().begin;
  };
  EXPECT_DOUBLE_EQ(begin_of(0), 0);
  EXPECT_DOUBLE_EQ(begin_of(1), 2'500) << "as much before the moment as after it";
  EXPECT_DOUBLE_EQ(begin_of(3), 12'500);
  timeline.windows.push_back({.begin = Instant(Seconds(19'000)), .waiting = 9});
  EXPECT_DOUBLE_EQ(prefill_gantt(result, timeline, 1)->bars.front().begin, 15'000) << "the last ones there are";
  EXPECT_TRUE(prefill_gantt(result, timeline, 1)->note.starts_with("5000 of 20000 prompts, from 15000.0 s to 20000.0"));
}

TEST(PrefillGantt, NamesTheFirstInstancesOfALargeCluster) {
  const ClusterResult result{.requests = {computed(0, Seconds(0), Seconds(1)), computed(700, Seconds(0), Seconds(1))}};
  const auto gantt = prefill_gantt(result, {}, 1'000);
  EXPECT_EQ(gantt->rows.size(), kInstancesShownMax);
  EXPECT_EQ(gantt->bars.size(), 1u);
  EXPECT_FALSE(prefill_gantt({.requests = {{.outcome = Outcome::kRejected}}}, {}, 1'000)) << "nothing was computed";
}

}  // namespace
}  // namespace mooncake::sim
