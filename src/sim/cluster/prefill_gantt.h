// The prefill instances of a simulated run as a Gantt: what each computed when. Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "sim/cluster/cluster_timeline.h"
#include "sim/report/report.h"

namespace mooncake::sim {

/// Prompts in one Gantt: on 16 rows of 1,000 pixels a bar still has three. They are half a megabyte of the page.
inline constexpr std::size_t kGanttBarsMax = 5'000;
/// Instances that a page names one by one: at 18 pixels a row two screens high.
inline constexpr std::uint32_t kInstancesShownMax = 100;

/// Rows are the first of `instances` instances. Where they computed more than kGanttBarsMax prompts, those around the
/// moment at which most prompts wait; the note says so. Nothing if they computed none.
std::optional<Gantt> prefill_gantt(const ClusterResult& result, const ClusterTimeline& timeline,
                                   std::uint32_t instances);

}  // namespace mooncake::sim
