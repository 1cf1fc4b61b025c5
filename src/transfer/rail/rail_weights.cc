#include "transfer/rail/rail_weights.h"

#include <algorithm>

namespace mooncake::transfer {
namespace {

double device_weight(const RailEnd& end, const std::string& device) {
  const LocationDevices* const row = end.topology.find(end.location);
  if (row == nullptr || std::ranges::find(row->preferred, device) != row->preferred.end()) return 1;
  return std::ranges::find(row->secondary, device) != row->secondary.end() ? kSecondaryWeight : kNoRail;
}

}  // namespace

std::vector<double> rail_weights(std::span<const Rail> rails, const RailEnd& local, const RailEnd& remote) {
  std::vector<double> weights;
  weights.reserve(rails.size());
  for (const Rail& rail : rails) {
    weights.push_back(device_weight(local, rail.local) * device_weight(remote, rail.remote));
  }
  return weights;
}

}  // namespace mooncake::transfer
