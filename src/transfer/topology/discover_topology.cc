#include "transfer/topology/discover_topology.h"

#include <fmt/format.h>
#include <hwloc.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>

#include "transfer/topology/make_topology.h"

namespace mooncake::transfer {
namespace {

using Kind = MachineDevice::Kind;

struct Destroy {
  void operator()(hwloc_topology_t topology) const { hwloc_topology_destroy(topology); }
};
using Hwloc = std::unique_ptr<hwloc_topology, Destroy>;

constexpr unsigned kVendorNvidia = 0x10de;
constexpr unsigned kClassDisplay = 0x03;

Result<Hwloc> load_hwloc() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) return Status(Code::kUnavailable, "hwloc cannot start");
  Hwloc hwloc(raw);
  // Plugins that some machines have. Most would start the runtimes of accelerators in this process, to say nothing that
  // PCI does not say. "pci" reads what hwloc itself finds in /sys, through a library that frees nothing.
  for (const char* plugin : {"cuda", "nvml", "rsmi", "levelzero", "opencl", "gl", "pci"}) {
    (void)hwloc_topology_set_components(raw, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, plugin);
  }
  // Bridges and common PCI devices; OS devices also where they are virtual, like soft-RoCE.
  (void)hwloc_topology_set_io_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
  (void)hwloc_topology_set_type_filter(raw, HWLOC_OBJ_OS_DEVICE, HWLOC_TYPE_FILTER_KEEP_ALL);
  if (hwloc_topology_load(raw) != 0) {
    return Status(Code::kUnavailable,
                  fmt::format("hwloc cannot tell what this machine is made of: {}", std::strerror(errno)));
  }
  return hwloc;
}

/// Of the objects that are no memory: a NUMA node hangs beside the part of the machine whose memory it is.
std::vector<std::string> path_of(hwloc_obj_t object) {
  std::vector<std::string> path;
  for (hwloc_obj_t at = object->parent; at != nullptr; at = at->parent) {
    if (hwloc_obj_type_is_memory(at->type) != 0) continue;
    path.push_back(fmt::format("{}#{}", hwloc_obj_type_string(at->type), at->logical_index));
  }
  std::ranges::reverse(path);
  return path;
}

std::uint64_t address_of(hwloc_obj_t pci) {
  const auto& at = pci->attr->pcidev;
  const std::uint64_t address = (std::uint64_t{at.domain} << 16) | (at.bus << 8) | (at.dev << 3) | at.func;
  return address + 1;  // 0 means none
}

/// Of the PCI device that `object` belongs to; 0: none.
std::uint64_t address_above(hwloc_obj_t object) {
  for (hwloc_obj_t at = object->parent; at != nullptr; at = at->parent) {
    if (at->type == HWLOC_OBJ_PCI_DEVICE) return address_of(at);
  }
  return 0;
}

void add_numa_nodes(hwloc_topology_t hwloc, std::vector<MachineDevice>& devices) {
  for (hwloc_obj_t node = nullptr; (node = hwloc_get_next_obj_by_type(hwloc, HWLOC_OBJ_NUMANODE, node)) != nullptr;) {
    devices.push_back({.kind = Kind::kNumaNode, .name = fmt::format("{}", node->os_index), .path = path_of(node)});
  }
}

void add_gpus(hwloc_topology_t hwloc, std::vector<MachineDevice>& devices) {
  for (hwloc_obj_t pci = nullptr; (pci = hwloc_get_next_pcidev(hwloc, pci)) != nullptr;) {
    const auto& about = pci->attr->pcidev;
    if (about.vendor_id != kVendorNvidia || about.class_id >> 8 != kClassDisplay) continue;
    devices.push_back({.kind = Kind::kGpu, .name = {}, .path = path_of(pci), .pci_address = address_of(pci)});
  }
}

/// InfiniBand calls state 4 "active" (IBTA 14.2.5.6); hwloc counts ports from 1.
bool has_active_port(hwloc_obj_t rdma) {
  for (int port = 1;; ++port) {
    const char* const state = hwloc_obj_get_info_by_name(rdma, fmt::format("Port{}State", port).c_str());
    if (state == nullptr) return false;
    if (std::string_view(state) == "4") return true;
  }
}

void add_os_devices(hwloc_topology_t hwloc, std::vector<MachineDevice>& devices) {
  for (hwloc_obj_t each = nullptr; (each = hwloc_get_next_osdev(hwloc, each)) != nullptr;) {
    MachineDevice device{
        .name = each->name == nullptr ? "" : each->name, .path = path_of(each), .pci_address = address_above(each)};
    const std::string_view subtype = each->subtype == nullptr ? "" : each->subtype;
    if (each->attr->osdev.type == HWLOC_OBJ_OSDEV_OPENFABRICS) {
      device.kind = Kind::kRdma;
      device.up = has_active_port(each);
    } else if (each->attr->osdev.type == HWLOC_OBJ_OSDEV_NETWORK) {
      device.kind = Kind::kInterface;
      device.loopback = device.name == "lo";
    } else if (each->attr->osdev.type == HWLOC_OBJ_OSDEV_BLOCK && subtype == "Disk" && device.pci_address != 0) {
      device.kind = Kind::kDrive;
    } else {
      continue;
    }
    devices.push_back(std::move(device));
  }
}

/// An address that a peer elsewhere can be reached from; a link-local one only means something with its interface.
bool is_address(const sockaddr* address) {
  if (address == nullptr) return false;
  if (address->sa_family == AF_INET) return true;
  if (address->sa_family != AF_INET6) return false;
  in6_addr v6;
  std::memcpy(&v6, reinterpret_cast<const char*>(address) + offsetof(sockaddr_in6, sin6_addr), sizeof v6);
  return !IN6_IS_ADDR_LINKLOCAL(&v6);
}

/// Which interfaces are up, from the kernel. hwloc knows where they are; those it does not know are virtual.
Status see_interfaces(std::vector<MachineDevice>& devices) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) {
    return {Code::kUnavailable, fmt::format("the kernel does not list its interfaces: {}", std::strerror(errno))};
  }
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owned(list, &::freeifaddrs);
  for (MachineDevice& device : devices) {
    if (device.kind == Kind::kInterface) device.up = false;
  }
  for (const ifaddrs* each = list; each != nullptr; each = each->ifa_next) {
    const std::string_view labelled = each->ifa_name;
    const std::string_view name = labelled.substr(0, labelled.find(':'));  // "eth0:1" is another address of eth0
    auto known = std::ranges::find_if(
        devices, [&](const MachineDevice& device) { return device.kind == Kind::kInterface && device.name == name; });
    if (known == devices.end()) {
      known = devices.insert(known, {.kind = Kind::kInterface, .name = std::string(name), .path = {}, .up = false});
    }
    known->loopback = (each->ifa_flags & IFF_LOOPBACK) != 0;
    const bool link = (each->ifa_flags & IFF_UP) != 0 && (each->ifa_flags & IFF_RUNNING) != 0;
    known->up = known->up || (link && is_address(each->ifa_addr));
  }
  return {};
}

}  // namespace

Result<std::vector<MachineDevice>> discover_devices() {
  MC_ASSIGN_OR_RETURN(const Hwloc hwloc, load_hwloc());
  std::vector<MachineDevice> devices;
  add_numa_nodes(hwloc.get(), devices);
  add_gpus(hwloc.get(), devices);
  add_os_devices(hwloc.get(), devices);
  if (hwloc_topology_is_thissystem(hwloc.get()) != 0) MC_RETURN_IF_ERROR(see_interfaces(devices));
  return devices;
}

Result<Topology> discover_topology() {
  MC_ASSIGN_OR_RETURN(const std::vector<MachineDevice> devices, discover_devices());
  return make_topology(devices);
}

}  // namespace mooncake::transfer
