// RailPlanner: says how long the next slice towards one peer is, and chooses a rail for each.
//
// A slice goes to the rail with the lowest
//
//   (bytes in flight + slice bytes) / measured bandwidth x distance weight
//
// that may carry one now: about when the slice would arrive, made worse by distance. So rails that are equally near get
// bytes in proportion to their bandwidth, and a far one gets some when the queue of the near ones is longer than the
// detour is worth. Among equals the lowest rail wins, so the same calls make the same choices.
//
// A slice is as long as the rail that would be chosen next moves in the time that the rule states (slice_rule.h), by
// the bandwidth that was measured on it (bandwidth_estimate.h). That choice is between slices of one length on all
// rails, the rule's first: by its own short slices a slow rail would look as good as a fast one. A rail that fails
// cools down (rail_monitor.h).
//
// Every slice that was started is reported once: done, failed or abandoned. Pure: no I/O, no clock; the owner passes
// `now`, which must not decrease. Nothing allocates but a refusal's message. Thread-compatible.
#pragma once

#include <bitset>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "transfer/rail/bandwidth_estimate.h"
#include "transfer/rail/rail_monitor.h"
#include "transfer/rail/slice_rule.h"

namespace mooncake::transfer {

/// Rails to one peer: 8 NICs at each end, each with each. A choice looks at all of them: about 1 us for 64, a tenth of
/// the time of an RDMA slice; 0.1 us for 8.
inline constexpr std::size_t kRailsMax = 64;

/// Rails that a slice must not take again, because it has failed on them; by RailId.
using RailSet = std::bitset<kRailsMax>;

class RailPlanner {
 public:
  /// Rails 0 to `rail_count` - 1, all of the kind that `rule` describes. @return kExhausted above kRailsMax.
  static Result<RailPlanner> create(std::size_t rail_count, const SliceRule& rule);

  /// How long the next slice of a request is of which `rest` > 0 bytes are left. `weights` has a value for each rail,
  /// for the memory of this request (rail_weights.h). The rule's first length where no rail can take it. O(rails).
  [[nodiscard]] std::size_t cut(std::size_t rest, std::span<const double> weights, const RailSet& excluded,
                                Instant now) const;

  /// Begins a slice of `bytes` > 0 on a rail that is not in `excluded`.
  /// @return kUnavailable if no rail can take it: try another transport. O(rails).
  Result<RailId> start(std::size_t bytes, std::span<const double> weights, const RailSet& excluded, Instant now);

  /// Begins a slice on that rail though it cools down: there is no other, and no other transport. @return `rail`.
  RailId start_anyway(std::size_t bytes, RailId rail, Instant now);

  /// The slice of `bytes` on `rail` is in place.
  void on_done(RailId rail, std::size_t bytes, Instant now);
  /// It failed, and by the rail's fault: the rail cools down.
  void on_failed(RailId rail, std::size_t bytes, Instant now);
  /// Something else failed on it: it cools down, whether slices were under way there or not.
  void on_rail_failed(RailId rail, Instant now) { monitor_.on_failure(rail, now); }
  /// It was given up, or failed for what it asked: says nothing of the rail.
  void on_abandoned(RailId rail, std::size_t bytes, Instant now);

  [[nodiscard]] std::size_t rail_count() const { return rails_.size(); }
  [[nodiscard]] std::size_t bytes_in_flight(RailId rail) const { return rails_.at(index(rail)).bytes_in_flight; }
  /// What choices are made with now.
  [[nodiscard]] double bytes_per_s(RailId rail, Instant now) const;

 private:
  struct RailState {
    BandwidthEstimate bandwidth;
    std::size_t bytes_in_flight = 0;
  };

  RailPlanner(std::size_t rail_count, const SliceRule& rule);

  static std::size_t index(RailId rail) { return static_cast<std::size_t>(rail); }
  [[nodiscard]] std::optional<RailId> choose(std::size_t bytes, std::span<const double> weights,
                                             const RailSet& excluded, Instant now) const;
  [[nodiscard]] Status refusal(std::span<const double> weights, const RailSet& excluded, Instant now) const;
  RailState& leave(RailId rail, std::size_t bytes);

  SliceRule rule_;
  std::vector<RailState> rails_;
  RailMonitor monitor_;
};

}  // namespace mooncake::transfer
