#include "transfer/cuda/device_pointer.h"

#include <fmt/format.h>

namespace mooncake::transfer {

std::optional<int> device_of(const CudaDriver& driver, const void* pointer) {
  // Memory that the driver never saw is an error to it; so is everything before it is initialised.
  std::uint32_t type = 0;
  const CudaAddress address = cuda_address(pointer);
  if (driver.PointerGetAttribute(&type, kCudaPointerMemoryType, address) != CudaResult::kSuccess) return std::nullopt;
  if (type != kCudaMemoryDevice) return std::nullopt;
  int ordinal = 0;
  if (driver.PointerGetAttribute(&ordinal, kCudaPointerDeviceOrdinal, address) != CudaResult::kSuccess) ordinal = 0;
  return ordinal;
}

Status check_kind(ConstByteSpan memory, MemoryKind kind) {
  const CudaDriver* driver = find_cuda_driver();
  if (memory.empty() || (kind == MemoryKind::kHost && driver == nullptr)) return {};
  if (driver == nullptr) return {Code::kInvalidArgument, "memory of a device, but no driver is loaded"};
  const std::optional<int> first = device_of(*driver, memory.data());
  const std::optional<int> last = device_of(*driver, memory.data() + memory.size() - 1);
  if (kind == MemoryKind::kHost) {
    if (!first.has_value() && !last.has_value()) return {};
    return {Code::kInvalidArgument, fmt::format("the memory at {} is a GPU's: register it as MemoryKind::kCuda",
                                                static_cast<const void*>(memory.data()))};
  }
  if (first.has_value() && first == last) return {};
  return {Code::kInvalidArgument,
          fmt::format("{} bytes at {} are not memory of one GPU: register memory of the host as MemoryKind::kHost",
                      memory.size(), static_cast<const void*>(memory.data()))};
}

}  // namespace mooncake::transfer
