#include "sim/cluster/cluster_timeline.h"

#include <algorithm>

#include "base/check.h"
#include "sim/cluster/cluster_report.h"

namespace mooncake::sim {
namespace {

class Windows {
 public:
  explicit Windows(const RunSpan& span) {
    // Rounded up, so that the last window reaches to the end.
    const Nanos length = (span.end - span.begin + Nanos(kTimelineWindows - 1)) / kTimelineWindows;
    timeline_.window = std::max(length, kTimelineWindowMin);
    Instant begin = span.begin;
    do {
      timeline_.windows.push_back({.begin = begin});
      begin += timeline_.window;
    } while (begin < span.end);
    CHECK(timeline_.windows.size() <= kTimelineWindows);
  }

  /// The window of an instant; the end of the span is in the last.
  TimelineWindow& at(Instant instant) { return timeline_.windows[index_of(instant)]; }

  /// Counts one request as being in a phase from `begin` to `end`.
  void occupy(double TimelineWindow::*phase, Instant begin, Instant end) {
    CHECK(begin <= end);
    for (std::size_t i = index_of(begin); begin < end; ++i) {
      TimelineWindow& window = timeline_.windows[i];
      const Instant until = std::min(end, window.begin + timeline_.window);
      window.*phase += to_ms(until - begin) / to_ms(timeline_.window);
      begin = until;
    }
  }

  ClusterTimeline finish() { return std::move(timeline_); }

 private:
  [[nodiscard]] std::size_t index_of(Instant instant) const {
    const auto index = static_cast<std::size_t>((instant - timeline_.windows.front().begin) / timeline_.window);
    return std::min(index, timeline_.windows.size() - 1);
  }

  ClusterTimeline timeline_;
};

void add(const TraceRequest& traced, const kvcache::Slo& slo, const RequestOutcome& outcome, Windows& windows) {
  TimelineWindow& arrival = windows.at(outcome.arrival);
  ++arrival.arrived;
  arrival.in_time += in_time(slo, outcome) ? 1 : 0;
  arrival.refused += outcome.rejected() ? 1 : 0;
  if (!outcome.prefilled()) return;
  windows.occupy(&TimelineWindow::waiting, outcome.arrival, outcome.prefill_start);
  windows.occupy(&TimelineWindow::computing, outcome.prefill_start, outcome.first_token);
  windows.occupy(&TimelineWindow::decoding, outcome.first_token, outcome.end);
  TimelineWindow& start = windows.at(outcome.prefill_start);
  start.prompt_blocks += traced.block_count;
  start.reused_blocks += outcome.reused_blocks;
}

}  // namespace

RunSpan run_span(const ClusterResult& result) {
  if (result.requests.empty()) return {};
  return {.begin = std::ranges::min_element(result.requests, {}, &RequestOutcome::arrival)->arrival,
          .end = std::ranges::max_element(result.requests, {}, &RequestOutcome::end)->end};
}

ClusterTimeline cluster_timeline(const Trace& trace, const kvcache::Slo& slo, const ClusterResult& result) {
  CHECK(trace.requests.size() == result.requests.size());
  if (result.requests.empty()) return {};
  Windows windows(run_span(result));
  for (std::size_t i = 0; i < trace.requests.size(); ++i) add(trace.requests[i], slo, result.requests[i], windows);
  return windows.finish();
}

}  // namespace mooncake::sim
