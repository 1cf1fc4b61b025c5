// make_topology: the decision part of discovery. From the devices of a machine to its matrix.
#pragma once

#include <span>

#include "transfer/topology/machine_device.h"
#include "transfer/topology/topology.h"

namespace mooncake::transfer {

/// A row for each NUMA node, GPU and drive, in this order, by number or PCI address.
///
/// Its devices are all RDMA devices and interfaces that carry rails: of each of the two kinds those that are up and on
/// PCI; if there are none, the virtual ones that are up; if there are none, the loopback. The preferred ones are those
/// whose closest common ancestor with the memory is the deepest; so on a machine that says nothing of distances all are
/// preferred. Within a class, the order is that of PCI addresses, then of names.
///
/// Total: devices whose names cannot stand in a topology are left out, and the farthest devices and last locations
/// where a machine has more than the limits allow. Pure; O(locations x devices).
Topology make_topology(std::span<const MachineDevice> devices);

}  // namespace mooncake::transfer
