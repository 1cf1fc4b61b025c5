// For tests: whether this machine has RDMA devices. `make test-rdma` runs the tests that need some where there are two.
#pragma once

#include <filesystem>

namespace mooncake::transfer {

inline constexpr const char* kNoRdma = "there is no RDMA device here; make test-rdma has two";

inline bool has_rdma() {
  std::error_code error;
  const std::filesystem::directory_iterator devices("/sys/class/infiniband", error);
  return !error && devices != std::filesystem::directory_iterator();
}

}  // namespace mooncake::transfer
