// What an engine makes of the devices that it is told to use. With devices it needs `make test-rdma`.
#include "transfer/rdma/rdma_host.h"

#include <gtest/gtest.h>

#include "transfer/rdma/test_rdma.h"
#include "transfer/test_node.h"

namespace mooncake::transfer {
namespace {

Result<const Verbs*> no_library() { return Status(Code::kUnavailable, "rdma: libibverbs.so.1: not found"); }

class Hosts : public testing::Test {
 protected:
  Result<std::unique_ptr<RdmaHost>> open(const std::string& devices, RdmaHost::LoadVerbs load = load_verbs) {
    return RdmaHost::open(devices, segments_, pools_, load);
  }

  SegmentTable segments_{1};
  PoolSet pools_;
};

TEST_F(Hosts, AutoOnAMachineWithoutDevicesIsNoErrorAndDoesNotLoadTheLibrary) {
  if (has_rdma()) GTEST_SKIP() << "there are RDMA devices here";
  const auto never = []() -> Result<const Verbs*> {
    ADD_FAILURE() << "the library was asked for";
    return no_library();
  };
  const auto host = open("auto", never);
  ASSERT_TRUE(host.ok());
  EXPECT_EQ(*host, nullptr);
}

TEST_F(Hosts, MissingLibraryIsAnErrorOnlyWhereADeviceIsNamed) {
  const auto found = open("auto", no_library);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(*found, nullptr);
  EXPECT_EQ(open("mlx5_0", no_library).status().code(), Code::kUnavailable);
}

TEST_F(Hosts, EngineWithADeviceThatIsNotThereDoesNotStart) {
  const auto loop = net::EventLoop::create("test-loop");
  TransferConfig config;
  config.rdma_devices = "nowhere_0";
  EXPECT_EQ(TransferEngine::create(config, *loop).status().code(), Code::kUnavailable);
  for (const char* devices : {"", "none", "auto"}) {
    config.rdma_devices = devices;
    EXPECT_TRUE(TransferEngine::create(config, *loop).ok()) << devices;
  }
}

TEST_F(Hosts, PortsOfNamedDevicesAreUpAndHaveRoutableAddresses) {
  if (!has_soft_roce()) GTEST_SKIP() << kNoRdma;
  const auto host = open("rxe1,rxe0");
  ASSERT_TRUE(host.ok()) << host.status().to_string();
  const std::vector<RdmaAddress> ports = (*host)->addresses();
  ASSERT_EQ(ports.size(), 2u);
  EXPECT_TRUE(ports[0].up && ports[1].up);
  EXPECT_EQ(to_hex(ports[0].gid), "00000000000000000000ffff0a090101");  // 10.9.1.1
  EXPECT_EQ(to_hex(ports[1].gid), "00000000000000000000ffff0a090001");
  EXPECT_EQ(ports[0].mtu, IBV_MTU_4096);
  EXPECT_EQ(ports[1].mtu, IBV_MTU_1024);
}

/// Asks for endpoints, and gives up one that it is asked for.
class Holder final : public RdmaHost::User {
 public:
  explicit Holder(RdmaHost& host) : host_(host) {}
  void on_ports_changed() override {}
  [[nodiscard]] bool idle(std::uint64_t) const override { return all_idle; }
  void evict(std::uint64_t endpoint) override {
    evicted.push_back(endpoint);
    host_.free_place(endpoint);
  }

  bool all_idle = false;
  std::vector<std::uint64_t> evicted;

 private:
  RdmaHost& host_;
};

TEST_F(Hosts, EndpointsAreLimitedAndIdleOnesMakeRoom) {
  if (!has_soft_roce()) GTEST_SKIP() << kNoRdma;
  const auto host = *open("rxe0");
  Holder holder(*host);
  Holder other(*host);
  for (std::size_t i = 0; i < kEndpointsOpenMax; ++i) ASSERT_TRUE(host->take_place(holder).ok());
  EXPECT_EQ(host->take_place(other).status().code(), Code::kExhausted);
  holder.all_idle = true;
  EXPECT_TRUE(host->take_place(other).ok());
  EXPECT_EQ(holder.evicted.size(), 1u);
}

}  // namespace
}  // namespace mooncake::transfer
