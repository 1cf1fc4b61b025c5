// Topology: from which memory which devices are near. A row for each memory location, with the local devices that can
// carry its bytes in two classes:
//
//   cpu:0    preferred mlx5_0 eth0    secondary mlx5_1 eth1
//   cuda:3   preferred mlx5_1         secondary mlx5_0 eth0 eth1
//
// A location is a NUMA node ("cpu:0"), a GPU ("cuda:3") or a drive ("file:nvme0n1"). A device is a network interface
// ("eth0") or an RDMA device ("mlx5_0"): the local end of rails. What is not listed for a location does not carry its
// bytes. Value types; thread-compatible.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mooncake::transfer {

/// Eight NUMA nodes, sixteen GPUs and a rack of drives are some hundred.
inline constexpr std::size_t kLocationsMax = 1024;
/// Devices of one location, both classes together: as many as there are rails to one peer (rail_planner.h).
inline constexpr std::size_t kLocationDevicesMax = 64;
/// The kernel's own limit for RDMA devices; interfaces have 15.
inline constexpr std::size_t kDeviceNameBytesMax = 64;

/// One row: the devices that may carry the bytes of one memory location, each once, in order of choice among equals.
struct LocationDevices {
  std::string location;
  std::vector<std::string> preferred;
  std::vector<std::string> secondary;
  bool operator==(const LocationDevices&) const = default;
};

struct Topology {
  std::vector<LocationDevices> locations;  ///< each once

  /// The row of `location`, or null. O(locations).
  [[nodiscard]] const LocationDevices* find(std::string_view location) const;

  bool operator==(const Topology&) const = default;
};

/// True for what a device can be called: printable ASCII without spaces, quotes or backslashes, up to
/// kDeviceNameBytesMax. So it stands in JSON and in tables as it is.
bool is_device_name(std::string_view name);

/// True for "cpu:N" and "cuda:N", N of up to 4 digits without zeros in front, and for "file:NAME" of a device's name.
bool is_memory_location(std::string_view location);

}  // namespace mooncake::transfer
