#include "transfer/rail/rail_weights.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/log.h"

namespace mooncake::transfer {
namespace {

bool has(const std::vector<std::string>& devices, const std::string& device) {
  return std::ranges::find(devices, device) != devices.end();
}

bool any_rail(const std::vector<double>& weights) {
  return std::ranges::any_of(weights, [](double weight) { return weight != kNoRail; });
}

}  // namespace

void RailWeights::set_device(std::size_t rail, std::string device) {
  devices_.at(rail) = std::move(device);
  known_.clear();
}

void RailWeights::set_base(std::size_t rail, double weight) {
  base_.at(rail) = weight;
  known_.clear();
}

std::span<const double> RailWeights::at(MemoryLocation location) {
  if (distances_ == nullptr || location == MemoryLocation{}) return base_;
  const auto known = std::ranges::find(known_, location, &decltype(known_)::value_type::first);
  if (known != known_.end()) return known->second;
  const LocationDevices* const row = distances_->topology.find(location.name());
  std::vector<double> weights = row == nullptr ? base_ : weigh(*row);
  if (!any_rail(weights) && any_rail(base_)) {
    weights = base_;
    if (!std::exchange(distances_->told, true)) {
      log_warn("transfer: the topology lists no rail's device for {}, so all are used: {}", location.name(),
               fmt::join(devices_, ", "));
    }
  }
  return known_.emplace_back(location, std::move(weights)).second;
}

std::vector<double> RailWeights::weigh(const LocationDevices& row) const {
  std::vector<double> weights = base_;
  for (std::size_t rail = 0; rail < weights.size(); ++rail) {
    const std::string& device = devices_[rail];
    if (device.empty() || has(row.preferred, device)) continue;
    weights[rail] *= has(row.secondary, device) ? kSecondaryWeight : distances_->unlisted;
  }
  return weights;
}

}  // namespace mooncake::transfer
