// For tests: what RDMA devices this machine has. `make test-rdma` runs the tests that need some, in a guest that
// tools/rdma/init sets up: ports rxe0 and rxe1, on the network devices rail0 and rail1.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace mooncake::transfer {

inline constexpr const char* kNoRdma = "there is no RDMA device here; make test-rdma has two";

inline bool has_rdma() {
  std::error_code error;
  const std::filesystem::directory_iterator devices("/sys/class/infiniband", error);
  return !error && devices != std::filesystem::directory_iterator();
}

/// The guest of make test-rdma, where ports may be taken down.
inline bool has_soft_roce() {
  return std::filesystem::exists("/sys/class/infiniband/rxe1") && std::filesystem::exists("/sys/class/net/rail1");
}

/// Changes one of the guest's network devices: set_rail(1, "down"), set_rail(1, "mtu 1500").
inline void set_rail(int rail, const std::string& what) {
  const std::string command = "ip link set rail" + std::to_string(rail) + " " + what;
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
}

/// Packets that a port of the guest has sent. The kernel counts them anew at most once a tick of 4 ms: a call takes
/// longer than that, so that no two see the same.
inline std::uint64_t packets_sent(int rail) {
  const auto next_tick = std::chrono::steady_clock::now() + std::chrono::milliseconds(10);
  while (std::chrono::steady_clock::now() < next_tick) std::this_thread::yield();
  std::ifstream file("/sys/class/infiniband/rxe" + std::to_string(rail) + "/ports/1/hw_counters/sent_pkts");
  std::uint64_t packets = 0;
  EXPECT_TRUE(file >> packets);
  return packets;
}

}  // namespace mooncake::transfer
