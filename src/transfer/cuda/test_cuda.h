// For tests: memory of a GPU, and the controls of the test double of the driver (tests/cuda/), where it is in place.
// ctest's `transfer_cuda` has the double; a machine with a GPU runs most of these tests on that.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "transfer/cuda/cuda_driver.h"
#include "transfer/cuda/primary_context.h"
#include "transfer/test_node.h"

namespace mooncake::transfer {

inline constexpr const char* kNoCuda = "there is no GPU here; ctest -R transfer_cuda has simulated ones";
inline constexpr const char* kNoDouble = "this needs the test double of the driver; ctest -R transfer_cuda has it";

inline bool has_cuda() { return load_cuda_driver().ok(); }

template <typename Function>
Function cuda_symbol(const char* name) {
  return reinterpret_cast<Function>(::dlsym(::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL), name));
}

/// The double's controls.
struct SimulatedCuda {
  static bool here() { return has_cuda() && cuda_symbol<void*>("simulated_cuda_fail") != nullptr; }
  /// The next calls of that function fail.
  static void fail(const char* function, CudaResult error, int times) {
    cuda_symbol<void (*)(const char*, int, int)>("simulated_cuda_fail")(function, static_cast<int>(error), times);
  }
  /// Copies that begin from now on do not end before hold(false).
  static void hold(bool held) { cuda_symbol<void (*)(int)>("simulated_cuda_hold")(held ? 1 : 0); }
  /// The devices fail; lose(false) makes them as new.
  static void lose(bool lost) { cuda_symbol<void (*)(int)>("simulated_cuda_lose")(lost ? 1 : 0); }
  /// What the devices can do: see simulated_cuda_set().
  static void set(const char* what, int value) {
    cuda_symbol<void (*)(const char*, int)>("simulated_cuda_set")(what, value);
  }
  static long count(const char* what) { return cuda_symbol<long (*)(const char*)>("simulated_cuda_count")(what); }
};

/// Memory of a GPU, filled and read by blocking copies.
class GpuMemory {
 public:
  explicit GpuMemory(std::size_t bytes, int device = 0)
      : driver_(*load_cuda_driver().value()), context_(*PrimaryContext::retain(driver_, device)), bytes_(bytes) {
    const CudaScope scope(driver_, context_.get());
    CHECK(driver_.MemAlloc(&address_, bytes) == CudaResult::kSuccess);
  }
  ~GpuMemory() {
    const CudaScope scope(driver_, context_.get());
    driver_.MemFree(address_);
  }
  GpuMemory(const GpuMemory&) = delete;
  GpuMemory& operator=(const GpuMemory&) = delete;

  /// Addresses, not to be read or written.
  [[nodiscard]] ByteSpan span() const {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): a device's address, which the driver gives as a number
    return {reinterpret_cast<std::byte*>(address_), bytes_};
  }
  void put(const std::vector<std::byte>& bytes) {
    const CudaScope scope(driver_, context_.get());
    CHECK(cuda_symbol<CudaResult (*)(CudaAddress, const void*, std::size_t)>("cuMemcpyHtoD_v2")(
              address_, bytes.data(), bytes.size()) == CudaResult::kSuccess);
  }
  [[nodiscard]] std::vector<std::byte> get() const {
    const CudaScope scope(driver_, context_.get());
    std::vector<std::byte> bytes(bytes_);
    CHECK(cuda_symbol<CudaResult (*)(void*, CudaAddress, std::size_t)>("cuMemcpyDtoH_v2")(
              bytes.data(), address_, bytes.size()) == CudaResult::kSuccess);
    return bytes;
  }

 private:
  const CudaDriver& driver_;
  PrimaryContext context_;
  std::size_t bytes_;
  CudaAddress address_ = 0;
};

}  // namespace mooncake::transfer
