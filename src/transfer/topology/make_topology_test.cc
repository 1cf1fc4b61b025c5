// Machines put together by hand, from one socket to the eight-GPU servers that this is for.
#include "transfer/topology/make_topology.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/rng.h"
#include "transfer/topology/topology_json.h"

namespace mooncake::transfer {
namespace {

using Kind = MachineDevice::Kind;
using Path = std::vector<std::string>;
using testing::ElementsAre;
using testing::IsEmpty;

MachineDevice node(int number, Path path) {
  return {.kind = Kind::kNumaNode, .name = std::to_string(number), .path = std::move(path)};
}

MachineDevice on_pci(Kind kind, std::string name, Path path, std::uint64_t address) {
  return {.kind = kind, .name = std::move(name), .path = std::move(path), .pci_address = address};
}

MachineDevice off_pci(std::string name) {
  return {.kind = Kind::kInterface, .name = std::move(name), .path = {"machine"}};
}

/// Two sockets, each with two PCIe switches; on each switch two GPUs and an RDMA device; on each socket an interface
/// and a drive of its own. GPU i and its nearest RDMA device are on switch i / 2.
std::vector<MachineDevice> eight_gpu_server() {
  std::vector<MachineDevice> machine;
  for (int socket = 1; socket >= 0; --socket) {  // the order must not matter
    const std::string package = fmt::format("package {}", socket);
    machine.push_back(node(socket, {"machine", package}));
    const auto base = static_cast<std::uint64_t>(socket) * 0x8000;
    for (int half = 0; half < 2; ++half) {
      const int id = 2 * socket + half;
      const Path behind = {"machine", package, fmt::format("root port {}", id), fmt::format("switch {}", id)};
      const std::uint64_t at = base + 0x1000 * static_cast<std::uint64_t>(half + 1);
      machine.push_back(on_pci(Kind::kRdma, fmt::format("mlx5_{}", id), behind, at));
      machine.push_back(on_pci(Kind::kGpu, "", behind, at + 0x200));
      machine.push_back(on_pci(Kind::kGpu, "", behind, at + 0x100));
    }
    const Path own = {"machine", package, fmt::format("root port of socket {}", socket)};
    machine.push_back(on_pci(Kind::kInterface, fmt::format("eth{}", socket), own, base + 0x100));
    machine.push_back(on_pci(Kind::kDrive, fmt::format("nvme{}n1", socket), own, base + 0x200));
  }
  return machine;
}

TEST(MakeTopology, GpusPreferWhatIsBehindTheirSwitchAndMemoryWhatIsOnItsSocket) {
  const Topology topology = make_topology(eight_gpu_server());
  std::vector<std::string> locations;
  for (const LocationDevices& row : topology.locations) locations.push_back(row.location);
  EXPECT_THAT(locations, ElementsAre("cpu:0", "cpu:1", "cuda:0", "cuda:1", "cuda:2", "cuda:3", "cuda:4", "cuda:5",
                                     "cuda:6", "cuda:7", "file:nvme0n1", "file:nvme1n1"));
  const LocationDevices* memory = topology.find("cpu:1");
  EXPECT_THAT(memory->preferred, ElementsAre("mlx5_2", "mlx5_3", "eth1"));
  EXPECT_THAT(memory->secondary, ElementsAre("mlx5_0", "mlx5_1", "eth0"));
  for (int gpu = 0; gpu < 8; ++gpu) {
    const LocationDevices* row = topology.find(fmt::format("cuda:{}", gpu));
    EXPECT_THAT(row->preferred, ElementsAre(fmt::format("mlx5_{}", gpu / 2))) << gpu;
    EXPECT_EQ(row->secondary.size(), 5u) << gpu;
  }
  EXPECT_EQ(topology.find("cuda:0")->secondary.front(), "mlx5_1") << "the same socket before the other one";
  EXPECT_THAT(topology.find("file:nvme1n1")->preferred, ElementsAre("eth1"));
}

TEST(MakeTopology, AMachineThatSaysNothingOfDistancesPrefersEverything) {
  const std::vector<MachineDevice> machine = {node(0, {"machine"}),
                                              on_pci(Kind::kInterface, "eth10", {"machine"}, 0x10),
                                              on_pci(Kind::kInterface, "eth9", {"machine"}, 0x10)};
  const Topology topology = make_topology(machine);
  EXPECT_THAT(topology.find("cpu:0")->preferred, ElementsAre("eth9", "eth10"));
  EXPECT_THAT(topology.find("cpu:0")->secondary, IsEmpty());
}

TEST(MakeTopology, ANodeWithoutDevicesOfItsOwnPrefersTheNextNearest) {
  const std::vector<MachineDevice> machine = {
      node(0, {"machine", "package 0", "group 0"}), node(1, {"machine", "package 0", "group 1"}),
      on_pci(Kind::kInterface, "here", {"machine", "package 0", "group 1", "port"}, 1),
      on_pci(Kind::kInterface, "there", {"machine", "package 1", "port"}, 2)};
  const Topology topology = make_topology(machine);
  EXPECT_THAT(topology.find("cpu:0")->preferred, ElementsAre("here"));
  EXPECT_THAT(topology.find("cpu:0")->secondary, ElementsAre("there"));
}

TEST(MakeTopology, VirtualInterfacesAndLoopbackAreUsedOnlyWhereThereIsNothingBetter) {
  MachineDevice loopback = off_pci("lo");
  loopback.loopback = true;
  std::vector<MachineDevice> machine = {node(0, {"machine"}), loopback};
  EXPECT_THAT(make_topology(machine).find("cpu:0")->preferred, ElementsAre("lo"));

  machine.push_back(off_pci("veth0"));
  EXPECT_THAT(make_topology(machine).find("cpu:0")->preferred, ElementsAre("veth0"));

  machine.push_back(on_pci(Kind::kInterface, "eth0", {"machine"}, 1));
  EXPECT_THAT(make_topology(machine).find("cpu:0")->preferred, ElementsAre("eth0"));

  machine.back().up = false;
  EXPECT_THAT(make_topology(machine).find("cpu:0")->preferred, ElementsAre("veth0"));
}

TEST(MakeTopology, RdmaDevicesAndInterfacesAreJudgedApart) {
  MachineDevice soft = off_pci("rxe0");
  soft.kind = Kind::kRdma;
  const std::vector<MachineDevice> machine = {node(0, {"machine"}), soft,
                                              on_pci(Kind::kInterface, "eth0", {"machine"}, 1)};
  EXPECT_THAT(make_topology(machine).find("cpu:0")->preferred, ElementsAre("rxe0", "eth0"));
}

TEST(MakeTopology, WithoutAnyInterfaceLocationsHaveNoDevices) {
  const std::vector<MachineDevice> machine = {node(0, {"machine"})};
  const Topology topology = make_topology(machine);
  EXPECT_THAT(topology.find("cpu:0")->preferred, IsEmpty());
  EXPECT_TRUE(make_topology({}).locations.empty());
}

// Whatever the machine, the matrix is one that can be written down and read again.
TEST(MakeTopology, RandomMachinesGiveTopologiesThatParse) {
  Rng rng(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<MachineDevice> machine = {node(0, {"machine"})};
    const std::uint64_t count = rng.below(100);
    for (std::uint64_t i = 0; i < count; ++i) {
      MachineDevice device{.kind = static_cast<Kind>(rng.below(5)), .name = fmt::format("d{}", rng.below(150))};
      for (std::uint64_t depth = rng.below(5); depth > 0; --depth)
        device.path.push_back(fmt::format("{}", rng.below(3)));
      device.pci_address = rng.below(3);
      device.up = rng.below(4) != 0;
      device.loopback = rng.below(10) == 0;
      if (rng.below(10) == 0) device.name = "no good name";
      machine.push_back(std::move(device));
    }
    const Topology topology = make_topology(machine);
    const auto again = parse_topology(format_topology(topology));
    ASSERT_TRUE(again.ok()) << again.status().to_string() << format_topology(topology);
    ASSERT_EQ(*again, topology);
  }
}

}  // namespace
}  // namespace mooncake::transfer
