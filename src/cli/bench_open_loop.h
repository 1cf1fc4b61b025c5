// An open loop: requests are sent when they arrive, however many are under way, so that a server that is too slow shows
// it as latency and not as a lower rate (coordinated omission).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "cli/bench_report.h"
#include "cli/gateway_access.h"
#include "kvcache/slo.h"

namespace mooncake::cli {

/// A thread each; beyond it the client, not the server, would be measured, so arrivals are counted as not sent.
inline constexpr std::uint32_t kInFlightMax = 512;
/// One schedule of arrivals; ten hours at 27 a second.
inline constexpr std::size_t kArrivalsMax = 1'000'000;

/// One request of a schedule.
struct Arrival {
  double at_s = 0;  ///< since the start
  std::uint32_t answer_tokens = 1;
};

/// What became of one. Figures are there for a request that was sent, and neither refused nor failed.
struct Outcome {
  bool sent = false;
  bool refused = false;
  bool failed = false;
  Nanos ttft{};
  Nanos tbt{};
  std::uint32_t prompt_tokens = 0;
  std::uint32_t cached_tokens = 0;
  std::uint32_t answer_tokens = 0;
  std::string error{};

  [[nodiscard]] bool completed() const { return sent && !refused && !failed; }
};

struct OpenLoop {
  GatewayAccess gateway;
  std::string model;
  std::vector<Arrival> arrivals;  ///< ascending
  /// The prompt of one of them, by its index. Called once for each, in order, from one thread.
  std::function<std::string(std::size_t)> prompt;
};

struct OpenLoopResult {
  std::vector<Outcome> outcomes;  ///< one an arrival
  double wall_s = 0;              ///< until the last answer
};

/// Sends every arrival at its time, waits for all answers, and shows a bar meanwhile.
/// @return the first error's words as kUnavailable if requests failed and none was answered.
Result<OpenLoopResult> run_open_loop(const OpenLoop& loop);

/// Percentiles, goodput under `slo`, and counts. Pure.
std::vector<BenchRow> open_loop_rows(const OpenLoopResult& result, const kvcache::Slo& slo);

}  // namespace mooncake::cli
