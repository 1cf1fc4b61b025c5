// ClusterTimeline: a simulated run over its virtual time, in windows of one length, from what became of its requests.
// Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kvcache/slo.h"
#include "sim/cluster/cluster.h"

namespace mooncake::sim {

/// A chart is some 500 pixels wide: four for each window. In a trace of an hour a window is half a minute.
inline constexpr std::uint32_t kTimelineWindows = 120;
/// Windows are not shorter, so that a run of one instant has a finite rate.
inline constexpr Nanos kTimelineWindowMin = Millis(1);

/// From the first arrival to the end of the last request; both the origin without requests.
struct RunSpan {
  Instant begin{};
  Instant end{};
};
RunSpan run_span(const ClusterResult& result);

struct TimelineWindow {
  Instant begin{};
  double waiting = 0;               ///< prompts whose prefill has not begun, mean over the window
  double computing = 0;             ///< prompts in prefill, mean
  double decoding = 0;              ///< requests between first token and end, mean: being sent, waiting, generating
  std::uint64_t arrived = 0;        ///< requests
  std::uint64_t in_time = 0;        ///< of those that arrived in the window, completed within both objectives
  std::uint64_t refused = 0;        ///< of the same, those after their prefill included
  std::uint64_t prompt_blocks = 0;  ///< of prompts whose prefill began in the window
  std::uint64_t reused_blocks = 0;  ///< of these

  /// Share of the prompt blocks that were reused; nothing if no prefill began.
  [[nodiscard]] std::optional<double> hit_rate() const {
    if (prompt_blocks == 0) return std::nullopt;
    return static_cast<double>(reused_blocks) / static_cast<double>(prompt_blocks);
  }
};

struct ClusterTimeline {
  Nanos window{};  ///< length of each
  std::vector<TimelineWindow> windows;
};

/// At most kTimelineWindows windows that cover the span of the run; none without requests.
/// O(requests * windows that each lives in).
ClusterTimeline cluster_timeline(const Trace& trace, const kvcache::Slo& slo, const ClusterResult& result);

}  // namespace mooncake::sim
