// discover_topology: the matrix of this machine, from hwloc and the kernel's list of interfaces.
#pragma once

#include <vector>

#include "base/status.h"
#include "transfer/topology/machine_device.h"
#include "transfer/topology/topology.h"

namespace mooncake::transfer {

/// The NUMA nodes, NVIDIA GPUs, disks on PCI, RDMA devices and network interfaces of this machine, as far as this
/// process may see them. hwloc itself heeds HWLOC_XMLFILE: then it is the machine in that file (`lstopo machine.xml`
/// writes one), and all its interfaces are taken to be up, as nothing else is known of them.
/// @return kUnavailable if hwloc cannot tell. Blocks for some 10 ms, as it reads a lot of /sys. Thread-safe.
Result<std::vector<MachineDevice>> discover_devices();

/// make_topology() of them. @return as discover_devices().
Result<Topology> discover_topology();

}  // namespace mooncake::transfer
