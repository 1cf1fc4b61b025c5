#include "sim/cluster/cluster_timeline.h"

#include <gtest/gtest.h>

#include "sim/testing.h"

namespace mooncake::sim {
namespace {

using testing::trace_of;

constexpr kvcache::Slo kSlo{.ttft = Seconds(30), .tbt = Millis(100)};

Instant at(int seconds) { return Instant(Seconds(seconds)); }

/// A request that goes from phase to phase at these seconds.
RequestOutcome completed(int arrival, int prefill_start, int first_token, int end) {
  return {.outcome = Outcome::kCompleted,
          .arrival = at(arrival),
          .prefill_start = at(prefill_start),
          .first_token = at(first_token),
          .end = at(end)};
}

RequestOutcome refused(int arrival) {
  return {.outcome = Outcome::kRejected, .arrival = at(arrival), .end = at(arrival)};
}

TEST(ClusterTimeline, PhasesAreMeansOverEachWindow) {
  // 240 s: windows of 2 s.
  const ClusterTimeline timeline =
      cluster_timeline(trace_of({{0}, {1}}), kSlo, {.requests = {completed(0, 1, 4, 240), completed(3, 3, 5, 5)}});
  EXPECT_EQ(timeline.window, Seconds(2));
  ASSERT_EQ(timeline.windows.size(), kTimelineWindows);
  EXPECT_EQ(timeline.windows[1].begin, at(2));
  EXPECT_DOUBLE_EQ(timeline.windows[0].waiting, 0.5);
  EXPECT_DOUBLE_EQ(timeline.windows[0].computing, 0.5);
  EXPECT_DOUBLE_EQ(timeline.windows[1].waiting, 0) << "the second does not wait";
  EXPECT_DOUBLE_EQ(timeline.windows[1].computing, 1.5);
  EXPECT_DOUBLE_EQ(timeline.windows[2].computing, 0.5);
  EXPECT_DOUBLE_EQ(timeline.windows[2].decoding, 1);
  EXPECT_DOUBLE_EQ(timeline.windows[119].decoding, 1);
}

TEST(ClusterTimeline, PhasesLastAsLongAsTheRequestsDo) {
  const ClusterTimeline timeline = cluster_timeline(
      trace_of({{0}, {1}, {2}}), kSlo,
      {.requests = {completed(3, 14, 31, 997), completed(5, 5, 6, 6), completed(100, 800, 900, 1'003)}});
  double waiting = 0, computing = 0, decoding = 0;
  for (const TimelineWindow& window : timeline.windows) {
    waiting += window.waiting * to_ms(timeline.window) / 1e3;
    computing += window.computing * to_ms(timeline.window) / 1e3;
    decoding += window.decoding * to_ms(timeline.window) / 1e3;
  }
  EXPECT_NEAR(waiting, 11 + 0 + 700, 1e-6);
  EXPECT_NEAR(computing, 17 + 1 + 100, 1e-6);
  EXPECT_NEAR(decoding, 966 + 0 + 103, 1e-6);
}

TEST(ClusterTimeline, RequestsCountWhereTheyArrivedWhateverBecomesOfThem) {
  RequestOutcome wasted = completed(3, 4, 6, 6);
  wasted.outcome = Outcome::kRejectedAfterPrefill;
  RequestOutcome slow = completed(2, 2, 4, 100);
  slow.tbt = Millis(101);
  const ClusterTimeline timeline =
      cluster_timeline(trace_of({{0}, {1}, {2}, {3}, {4}}), kSlo,
                       {.requests = {completed(0, 1, 240, 240), completed(2, 3, 4, 9), wasted, slow, refused(3)}});
  EXPECT_EQ(timeline.windows[0].arrived, 1u);
  EXPECT_EQ(timeline.windows[0].in_time, 0u) << "its first token took 240 s";
  EXPECT_EQ(timeline.windows[1].arrived, 4u);
  EXPECT_EQ(timeline.windows[1].in_time, 1u);
  EXPECT_EQ(timeline.windows[1].refused, 2u);
  EXPECT_DOUBLE_EQ(timeline.windows[3].decoding, 1 + 1) << "what was refused after its prefill does not decode";
}

TEST(ClusterTimeline, BlocksCountWherePrefillBegan) {
  RequestOutcome reuses = completed(0, 3, 4, 240);
  reuses.reused_blocks = 2;
  const ClusterTimeline timeline =
      cluster_timeline(trace_of({{0, 1, 2}, {3}}), kSlo, {.requests = {reuses, completed(1, 2, 3, 3)}});
  EXPECT_FALSE(timeline.windows[0].hit_rate());
  EXPECT_DOUBLE_EQ(timeline.windows[1].hit_rate().value(), 0.5);
}

TEST(ClusterTimeline, ARunOfOneInstantIsOneWindowAndNoRunIsNone) {
  const ClusterTimeline instant = cluster_timeline(trace_of({{0}, {1}}), kSlo, {.requests = {refused(7), refused(7)}});
  ASSERT_EQ(instant.windows.size(), 1u);
  EXPECT_EQ(instant.window, kTimelineWindowMin);
  EXPECT_EQ(instant.windows[0].refused, 2u);
  EXPECT_TRUE(cluster_timeline({}, kSlo, {}).windows.empty());
}

}  // namespace
}  // namespace mooncake::sim
