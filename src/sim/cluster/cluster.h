// A simulated cluster: a trace served in virtual time, with the production Conductor deciding and everything else
// modelled.
//
//   what                 is
//   Conductor            conductor::Conductor, the object code that the gateway runs
//   prefill instance     a queue in which tenants take turns (conductor::PrefillQueue), with one tenant in order; a
//                        prompt takes what the profile says, once its prefix has been fetched
//   cache                one a prefill instance, with the store's eviction policies; a prompt's blocks come in when its
//                        prefill ends
//   SSDs                 below a cache's memory: every block is written there, and read back at a rate, in order,
//                        before its prompt is computed
//   network              one link a node: prefixes that others fetch or are sent and KVCache for decode go in order
//   decode instance      conductor::DecodeSchedule lets requests in between steps; steps take what the profile says
//   failures             with an mtbf: a node loses its cache and what it was given, which is placed again as by the
//                        gateway, and comes back with nothing in memory
//   change of role       a node that drains finishes what it has been given, and has the other role at once; its cache
//                        stays
//
// The Conductor sees phases and durations at once, and caches unless told otherwise. It never sees how long an answer
// will be: requests ask for at most kAnswerTokensMax tokens, all of them.
//
// Pure and deterministic: the same trace and configuration give the same result. Source: docs/simulator.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "conductor/conductor.h"
#include "kvcache/cost_model.h"
#include "sim/trace/trace.h"

namespace mooncake::sim {

/// What every request may generate at most, as a client would say; published traces have no longer answers.
inline constexpr std::uint32_t kAnswerTokensMax = 2048;
/// Instances of a role. The Conductor looks at each of them for each request.
inline constexpr std::uint32_t kClusterInstancesMax = 10'000;

/// Means of the time until a node fails. Below, clusters do nothing but fail; above, times get too long to add up.
inline constexpr Seconds kMtbfMin{1};
inline constexpr Seconds kMtbfMax{100'000'000};
/// Until a node that failed serves again: the 140 GB of a 70B model in 16 bits are read from a disk at 2 GB/s in 70 s;
/// the rest is noticing, starting processes, and warming up.
inline constexpr Seconds kRepairDefault{120};

struct ClusterConfig {
  std::uint32_t prefill = 1;
  std::uint32_t decode = 1;
  conductor::PlacementPolicy placement = conductor::PlacementPolicy::kCostMin;
  conductor::AdmissionPolicy admission = conductor::AdmissionPolicy::kNone;
  Nanos decode_time = Seconds(10);  ///< of the predictive admission
  conductor::Slo slo{};
  double balancing_threshold = 1.3;
  kvcache::CostProfile profile{};
  std::string eviction = "default";                      ///< a policy of the store
  std::optional<std::uint64_t> cache_blocks_per_node{};  ///< at least 1; nothing: no limit
  double link_gbps = 800;                                ///< gigabits a second that a node sends, above 0
  std::uint64_t ssd_blocks_per_node = 0;                 ///< below memory; 0: no SSDs
  double ssd_gbps = 56;                                  ///< gigabits a second that a node reads from them, above 0
  double speed = 1;                                      ///< arrivals come so many times as fast, above 0
  std::uint64_t decode_kv_tokens = 1'400'000;            ///< KVCache of a decode instance
  bool prefill_only = false;                             ///< requests end with their first token
  bool elastic = false;  ///< nodes change their roles as the Conductor says; `prefill` and `decode` are how they begin
  bool replicate = false;      ///< nodes copy prefixes ahead of requests, as the Conductor says
  Nanos event_delay{};         ///< until the Conductor learns what a cache has taken in and evicted
  double event_loss = 0;       ///< share of these messages that it never gets
  double believed_factor = 1;  ///< the Conductor takes everything to last so many times as long as it does
  std::uint64_t seed = 0;      ///< of random placement, lost messages and failures
  /// Every node fails after such a time in the mean, exponentially distributed; nothing: none does.
  std::optional<Nanos> mtbf{};
  /// Until a node that failed is back, with nothing in memory.
  Nanos repair = kRepairDefault;
  /// Makes the choice of prefill instances from `seed`, instead of `placement`'s; nothing: as `placement` says.
  std::function<std::unique_ptr<conductor::PrefillChooser>(std::uint64_t seed)> chooser{};
};

enum class Outcome : std::uint8_t {
  kCompleted,
  kRejected,
  kRejectedAfterPrefill,
  kFailed,  ///< it lost its nodes more often than it may, or was refused when it was to go on elsewhere
};

/// What became of a request. Times that it did not live to see are 0. If it was placed several times, instances, reuse
/// and the start of prefill are those of the attempt that gave the first token.
struct RequestOutcome {
  Outcome outcome = Outcome::kRejected;
  std::uint32_t prefill = 0;  ///< instance
  std::uint32_t decode = 0;   ///< instance, from 0
  std::uint32_t reused_blocks = 0;
  Instant arrival{};
  Instant prefill_start{};
  Instant first_token{};  ///< when prefill ended
  Instant end{};
  std::optional<Nanos> tbt{};        ///< nothing: no gaps
  conductor::RefusalKind refusal{};  ///< of requests that were rejected

  /// It got as far as its first token.
  [[nodiscard]] bool prefilled() const { return first_token > Instant{}; }
  [[nodiscard]] bool rejected() const {
    return outcome == Outcome::kRejected || outcome == Outcome::kRejectedAfterPrefill;
  }
};

struct ClusterResult {
  std::vector<RequestOutcome> requests;  ///< in the order of the trace
  std::uint64_t transfers = 0;           ///< prefixes that one node fetched from another
  std::uint64_t replicated_blocks = 0;   ///< that a node was sent before a request asked for them
  std::uint64_t ssd_blocks_read = 0;     ///< for prompts of the own node or of others
  std::uint64_t node_failures = 0;       ///< until the last request had ended
  std::uint64_t placed_again = 0;        ///< requests that went on elsewhere, once for each time
  std::uint64_t role_changes = 0;
  std::uint32_t prefill_at_end = 0;  ///< nodes of that role
};

/// When a request arrives if arrivals come `speed` times as fast.
inline Instant arrival_of(const TraceRequest& request, double speed) {
  return Instant(Nanos(static_cast<std::int64_t>(static_cast<double>(request.arrival.count()) / speed)));
}

/// Called with every decision as it is made: number of the request in the trace, decision, time.
using DecisionSink = std::function<void(std::uint32_t, const conductor::Decision&, Instant)>;

/// Runs the whole trace and until the last request has ended.
/// @return kInvalidArgument for a configuration out of range.
Result<ClusterResult> run_cluster(const Trace& trace, const ClusterConfig& config, const DecisionSink& sink = {});

}  // namespace mooncake::sim
