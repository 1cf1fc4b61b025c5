// RailWeights: what each rail to one peer costs, by where the memory of this side lies.
//
// The remote end's distance is not told on the wire. Rails join devices of equal rank, so where hosts are alike the
// device that is near here has a near one at its other end.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "transfer/topology/memory_location.h"
#include "transfer/topology/topology.h"

namespace mooncake::transfer {

/// What a secondary device costs, where a preferred one costs 1. Its bytes cross the link between sockets, which
/// everything else shares: a near rail may have three slices in flight before an idle far one is as good.
inline constexpr double kSecondaryWeight = 3;
/// The weight of a rail that must not be used.
inline constexpr double kNoRail = 0;

/// How near the devices of this host are to its memory. Loop thread only.
struct Distances {
  Topology topology{};
  /// Of a device that is not listed for a location. kNoRail if somebody wrote the topology: it carries no bytes of that
  /// location. What was discovered leaves out devices that it cannot place, such as bonds: 1.
  double unlisted = 1;
  bool told = false;  ///< the log has said that some location has no rail
};

class RailWeights {
 public:
  /// Every rail costs 1, by an unknown device. `distances` null: so it stays. Else it outlives this.
  RailWeights(Distances* distances, std::size_t rails) : distances_(distances), devices_(rails), base_(rails, 1.0) {}

  [[nodiscard]] std::size_t size() const { return base_.size(); }
  /// The device at this end of the rail; "" for one that is not known, which is equally near to everything.
  void set_device(std::size_t rail, std::string device);
  [[nodiscard]] const std::string& device(std::size_t rail) const { return devices_.at(rail); }
  /// What the rail costs apart from distance; kNoRail: nothing can use it now.
  void set_base(std::size_t rail, double weight);
  [[nodiscard]] const std::vector<double>& base() const { return base_; }

  /// The weights for memory at that location, one for each rail: base x distance. Where that leaves no rail, because
  /// none of their devices is listed, it is the base: a peer that can be reached is. Valid until something is set.
  /// Worked out at the first call for each location, then O(locations that were asked for).
  std::span<const double> at(MemoryLocation location);

 private:
  [[nodiscard]] std::vector<double> weigh(const LocationDevices& row) const;

  Distances* distances_;
  std::vector<std::string> devices_;
  std::vector<double> base_;
  std::vector<std::pair<MemoryLocation, std::vector<double>>> known_;
};

}  // namespace mooncake::transfer
