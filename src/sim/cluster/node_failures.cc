#include "sim/cluster/node_failures.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace mooncake::sim {

NodeFailures::NodeFailures(const ClusterConfig& config)
    : mtbf_(config.mtbf.value_or(Nanos{0})), repair_(config.repair) {
  if (!config.mtbf) return;
  const std::uint32_t nodes = config.prefill + (config.prefill_only ? 0 : config.decode);
  rngs_.reserve(nodes);
  for (std::uint32_t node = 0; node < nodes; ++node) {
    rngs_.emplace_back(splitmix64(splitmix64(config.seed) + node));
    pending_.push({.at = Instant(draw(node)), .node = node, .fails = true});
  }
}

NodeFailures::Change NodeFailures::happen() {
  CHECK(!pending_.empty());
  const Change change = pending_.top();
  pending_.pop();
  failures_ += change.fails ? 1 : 0;
  const Nanos lasts = change.fails ? repair_ : draw(change.node);
  pending_.push({.at = change.at + lasts, .node = change.node, .fails = !change.fails});
  return change;
}

// By inversion; at least a nanosecond, so that time goes on.
Nanos NodeFailures::draw(std::uint32_t node) {
  const double mean_lives = -std::log1p(-rngs_[node].uniform());
  return std::max(Nanos{1}, from_ms(mean_lives * to_ms(mtbf_)));
}

}  // namespace mooncake::sim
