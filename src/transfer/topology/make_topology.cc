#include "transfer/topology/make_topology.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

namespace mooncake::transfer {
namespace {

using Kind = MachineDevice::Kind;
using Devices = std::vector<const MachineDevice*>;

Devices of_kind(std::span<const MachineDevice> devices, Kind kind) {
  Devices chosen;
  for (const MachineDevice& device : devices) {
    if (device.kind == kind) chosen.push_back(&device);
  }
  // Shorter names first: node 10 comes after node 9, and eth10 after eth9.
  std::ranges::sort(chosen, {}, [](const MachineDevice* device) {
    return std::tuple(device->pci_address, device->name.size(), std::string_view(device->name));
  });
  return chosen;
}

/// 0 is the best; what has the same grade is used together.
int grade(const MachineDevice& device) {
  if (device.loopback) return 2;
  return device.pci_address != 0 ? 0 : 1;
}

Devices carriers(std::span<const MachineDevice> devices, Kind kind) {
  Devices chosen = of_kind(devices, kind);
  std::erase_if(chosen, [](const MachineDevice* device) { return !device->up || !is_device_name(device->name); });
  const auto best = std::ranges::min_element(chosen, {}, [](const MachineDevice* device) { return grade(*device); });
  if (best == chosen.end()) return chosen;
  std::erase_if(chosen, [wanted = grade(**best)](const MachineDevice* device) { return grade(*device) != wanted; });
  return chosen;
}

/// How many steps from the root two devices share.
std::size_t shared_depth(const MachineDevice& a, const MachineDevice& b) {
  const auto differ = std::ranges::mismatch(a.path, b.path);
  return static_cast<std::size_t>(differ.in1 - a.path.begin());
}

LocationDevices make_row(std::string location, const MachineDevice& memory, Devices near_first) {
  const auto depth = [&](const MachineDevice* device) { return shared_depth(memory, *device); };
  std::ranges::stable_sort(near_first, std::ranges::greater(), depth);
  if (near_first.size() > kLocationDevicesMax) near_first.resize(kLocationDevicesMax);
  LocationDevices row{.location = std::move(location), .preferred = {}, .secondary = {}};
  for (const MachineDevice* device : near_first) {
    const bool nearest = depth(device) == depth(near_first.front());
    (nearest ? row.preferred : row.secondary).push_back(device->name);
  }
  return row;
}

}  // namespace

Topology make_topology(std::span<const MachineDevice> devices) {
  Devices all;
  for (const Kind kind : {Kind::kRdma, Kind::kInterface}) {
    for (const MachineDevice* device : carriers(devices, kind)) {
      // A name stands for one device: what is called like another one could not be told from it.
      if (std::ranges::find(all, device->name, &MachineDevice::name) == all.end()) all.push_back(device);
    }
  }
  Topology topology;
  const auto add = [&](std::string location, const MachineDevice& memory) {
    if (!is_memory_location(location) || topology.locations.size() == kLocationsMax) return;
    if (topology.find(location) != nullptr) return;
    topology.locations.push_back(make_row(std::move(location), memory, all));
  };
  for (const MachineDevice* node : of_kind(devices, Kind::kNumaNode)) add("cpu:" + node->name, *node);
  std::size_t gpu = 0;
  for (const MachineDevice* each : of_kind(devices, Kind::kGpu)) add(fmt::format("cuda:{}", gpu++), *each);
  for (const MachineDevice* drive : of_kind(devices, Kind::kDrive)) add("file:" + drive->name, *drive);
  return topology;
}

}  // namespace mooncake::transfer
