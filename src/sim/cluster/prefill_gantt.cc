#include "sim/cluster/prefill_gantt.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "base/check.h"

namespace mooncake::sim {
namespace {

enum Kind : std::uint32_t { kServed, kWasted, kFailed };

Kind kind_of(Outcome outcome) {
  if (outcome == Outcome::kRejectedAfterPrefill) return kWasted;
  return outcome == Outcome::kFailed ? kFailed : kServed;
}

/// Seconds since the trace began, to a tenth of a millisecond: less than a pixel, and half as long in the page.
double seconds(Instant at) { return std::round(to_ms(at.time_since_epoch()) * 10) / 1e4; }

/// What the first `shown` instances computed, in the order of its beginnings.
std::vector<const RequestOutcome*> computed(const ClusterResult& result, std::uint32_t shown) {
  std::vector<const RequestOutcome*> all;
  for (const RequestOutcome& outcome : result.requests) {
    if (outcome.prefilled() && outcome.prefill < shown) all.push_back(&outcome);
  }
  std::ranges::stable_sort(all, {}, &RequestOutcome::prefill_start);
  return all;
}

/// kGanttBarsMax of them, around the moment at which most prompts wait.
std::span<const RequestOutcome* const> busiest(std::span<const RequestOutcome* const> all,
                                               const ClusterTimeline& timeline) {
  if (all.size() <= kGanttBarsMax) return all;
  const Instant peak = std::ranges::max_element(timeline.windows, {}, &TimelineWindow::waiting)->begin;
  const auto middle =
      static_cast<std::size_t>(std::ranges::lower_bound(all, peak, {}, &RequestOutcome::prefill_start) - all.begin());
  const std::size_t first = std::min(middle - std::min(middle, kGanttBarsMax / 2), all.size() - kGanttBarsMax);
  return all.subspan(first, kGanttBarsMax);
}

std::string note_of(std::size_t shown, std::size_t all, double begin_s, double end_s) {
  std::string part = "All prompts of the run.";
  if (shown < all) {
    part = fmt::format("{} of {} prompts, from {:.1f} s to {:.1f} s: around the moment at which most prompts wait.",
                       shown, all, begin_s, end_s);
  }
  return part + " Drag over a part to see it larger, double-click for all of it.";
}

}  // namespace

std::optional<Gantt> prefill_gantt(const ClusterResult& result, const ClusterTimeline& timeline,
                                   std::uint32_t instances) {
  const std::uint32_t rows = std::min(instances, kInstancesShownMax);
  const std::vector<const RequestOutcome*> all = computed(result, rows);
  if (all.empty()) return std::nullopt;
  Gantt gantt{.title = "Prefill instances",
              .note = "",
              .x_name = "seconds since the trace began",
              .kinds = {"served", "refused after its prefill", "failed later"}};
  for (std::uint32_t i = 0; i < rows; ++i) gantt.rows.push_back(fmt::format("prefill-{}", i));
  double end_s = 0;
  for (const RequestOutcome* outcome : busiest(all, timeline)) {
    gantt.bars.push_back({.row = outcome->prefill,
                          .kind = kind_of(outcome->outcome),
                          .begin = seconds(outcome->prefill_start),
                          .end = seconds(outcome->first_token)});
    end_s = std::max(end_s, gantt.bars.back().end);
  }
  gantt.note = note_of(gantt.bars.size(), all.size(), gantt.bars.front().begin, end_s);
  return gantt;
}

}  // namespace mooncake::sim
