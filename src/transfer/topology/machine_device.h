// MachineDevice: what discovery knows of one NUMA node, GPU, drive or network device, copied out of the library that
// found it, so that the decisions about it are plain code (make_topology.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mooncake::transfer {

struct MachineDevice {
  enum class Kind : std::uint8_t {
    kNumaNode,   ///< name "0"
    kGpu,        ///< an NVIDIA GPU; without a name, its number is its place in the order of PCI addresses
    kDrive,      ///< a block device: "nvme0n1"
    kInterface,  ///< a network interface: "eth0"
    kRdma,       ///< an RDMA device: "mlx5_0"
  };
  Kind kind = Kind::kNumaNode;
  std::string name{};
  /// What it hangs below, outermost first: {"Machine#0", "Package#1", "Bridge#4", "PCI#7"}. Of a NUMA node: the part of
  /// the machine whose memory it is. How near two devices are is how far their paths agree.
  std::vector<std::string> path{};
  /// Domain, bus, device and function as one number that orders them, from 1; 0: not on PCI, or virtual.
  std::uint64_t pci_address = 0;
  bool up = true;         ///< of network devices: can carry bytes now (link, and for interfaces an address)
  bool loopback = false;  ///< of interfaces
};

}  // namespace mooncake::transfer
