#include "transfer/rail/rail_planner.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "transfer/rail/rail_weights.h"

namespace mooncake::transfer {

Result<RailPlanner> RailPlanner::create(std::size_t rail_count, const SliceRule& rule) {
  if (rail_count > kRailsMax) {
    return Status(Code::kExhausted, fmt::format("{} rails to one peer, at most {} are planned", rail_count, kRailsMax));
  }
  return RailPlanner(rail_count, rule);
}

RailPlanner::RailPlanner(std::size_t rail_count, const SliceRule& rule)
    : rule_(rule),
      rails_(rail_count, RailState{.bandwidth = BandwidthEstimate(rule.prior_bytes_per_s())}),
      monitor_(static_cast<std::uint32_t>(rail_count)) {}

std::size_t RailPlanner::cut(std::size_t rest, std::span<const double> weights, const RailSet& excluded,
                             Instant now) const {
  if (rest <= rule_.bytes_min) return rest;
  const std::optional<RailId> rail = choose(std::min(rest, rule_.bytes), weights, excluded, now);
  return rule_.cut(rest, rail ? bytes_per_s(*rail, now) : rule_.prior_bytes_per_s());
}

Result<RailId> RailPlanner::start(std::size_t bytes, std::span<const double> weights, const RailSet& excluded,
                                  Instant now) {
  CHECK(bytes > 0);
  const std::optional<RailId> rail = choose(bytes, weights, excluded, now);
  if (!rail) return refusal(weights, excluded, now);
  CHECK(monitor_.can_use(*rail, now));
  return start_anyway(bytes, *rail, now);
}

RailId RailPlanner::start_anyway(std::size_t bytes, RailId rail, Instant now) {
  static_cast<void>(monitor_.try_use(rail, now));  // if it may be used, this is its probe
  RailState& state = rails_.at(index(rail));
  state.bytes_in_flight += bytes;
  state.bandwidth.on_started(now);
  return rail;
}

std::optional<RailId> RailPlanner::choose(std::size_t bytes, std::span<const double> weights, const RailSet& excluded,
                                          Instant now) const {
  CHECK(weights.size() == rails_.size());
  std::optional<RailId> best;
  double best_cost = 0;
  for (std::size_t i = 0; i < rails_.size(); ++i) {
    const RailId id{static_cast<std::uint32_t>(i)};
    if (weights[i] == kNoRail || excluded.test(i) || !monitor_.can_use(id, now)) continue;
    const auto queue = static_cast<double>(rails_[i].bytes_in_flight + bytes);
    const double cost = queue / bytes_per_s(id, now) * weights[i];
    if (best && cost >= best_cost) continue;
    best = id;
    best_cost = cost;
  }
  return best;
}

Status RailPlanner::refusal(std::span<const double> weights, const RailSet& excluded, Instant now) const {
  std::size_t listed = 0;
  std::size_t failed = 0;
  for (std::size_t i = 0; i < rails_.size(); ++i) {
    if (weights[i] == kNoRail) continue;
    ++listed;
    if (excluded.test(i)) ++failed;
  }
  return {Code::kUnavailable,
          fmt::format("no rail can carry this: of {}, {} lead between these memories, the slice failed on {} of them, "
                      "and {} are up",
                      rails_.size(), listed, failed, monitor_.usable_count(now))};
}

RailPlanner::RailState& RailPlanner::leave(RailId id, std::size_t bytes) {
  RailState& rail = rails_.at(index(id));
  CHECK(bytes > 0 && rail.bytes_in_flight >= bytes);
  rail.bytes_in_flight -= bytes;
  return rail;
}

void RailPlanner::on_done(RailId id, std::size_t bytes, Instant now) {
  leave(id, bytes).bandwidth.on_done(bytes, now);
  monitor_.on_success(id);
}

void RailPlanner::on_failed(RailId id, std::size_t bytes, Instant now) {
  leave(id, bytes).bandwidth.on_lost(now);
  monitor_.on_failure(id, now);
}

void RailPlanner::on_abandoned(RailId id, std::size_t bytes, Instant now) {
  leave(id, bytes).bandwidth.on_lost(now);
  monitor_.on_abandoned(id, now);
}

double RailPlanner::bytes_per_s(RailId id, Instant now) const {
  return rails_.at(index(id)).bandwidth.bytes_per_s(now);
}

}  // namespace mooncake::transfer
