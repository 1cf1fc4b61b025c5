// What can be said of any machine that this runs on. What is made of its devices is tested in make_topology_test.cc,
// and what is read from hwloc in tests/integration/test_transfer_topology.py, on a machine in a file.
#include "transfer/topology/discover_topology.h"

#include <gtest/gtest.h>
#include <net/if.h>

#include <algorithm>

#include "transfer/topology/topology_json.h"

namespace mooncake::transfer {
namespace {

TEST(DiscoverTopology, ThisMachineHasMemoryAndATopologyThatParses) {
  const auto topology = discover_topology();
  ASSERT_TRUE(topology.ok()) << topology.status().to_string();
  const bool has_memory =
      std::ranges::any_of(topology->locations, [](const auto& row) { return row.location.starts_with("cpu:"); });
  EXPECT_TRUE(has_memory);
  const auto again = parse_topology(format_topology(*topology));
  ASSERT_TRUE(again.ok()) << again.status().to_string();
  EXPECT_EQ(*again, *topology);
}

TEST(DiscoverTopology, InterfacesThatAreUpAreTheKernels) {
  const auto devices = discover_devices();
  ASSERT_TRUE(devices.ok()) << devices.status().to_string();
  for (const MachineDevice& device : *devices) {
    if (device.kind != MachineDevice::Kind::kInterface || !device.up) continue;
    EXPECT_NE(::if_nametoindex(device.name.c_str()), 0u) << device.name;
    EXPECT_EQ(device.loopback, device.name == "lo");
  }
}

}  // namespace
}  // namespace mooncake::transfer
