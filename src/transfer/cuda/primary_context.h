// PrimaryContext: the context of a device that the runtime API of this process uses too, kept alive by this.
#pragma once

#include <fmt/format.h>

#include <utility>

#include "transfer/cuda/cuda_driver.h"

namespace mooncake::transfer {

class PrimaryContext {
 public:
  /// Makes it if the process has none on that device, which takes a moment. @return the driver's error.
  static Result<PrimaryContext> retain(const CudaDriver& driver, int ordinal) {
    CudaDevice device = 0;
    CudaContext context = nullptr;
    CudaResult error = driver.DeviceGet(&device, ordinal);
    if (error == CudaResult::kSuccess) error = driver.DevicePrimaryCtxRetain(&context, device);
    if (error == CudaResult::kSuccess) return PrimaryContext(driver, device, context);
    return cuda_error(driver, error, fmt::format("the primary context of GPU {}", ordinal));
  }
  PrimaryContext(PrimaryContext&& other) noexcept
      : driver_(other.driver_), device_(other.device_), context_(std::exchange(other.context_, nullptr)) {}
  PrimaryContext& operator=(PrimaryContext&&) = delete;
  ~PrimaryContext() {
    if (context_ != nullptr) static_cast<void>(driver_.DevicePrimaryCtxRelease(device_));
  }

  [[nodiscard]] CudaContext get() const { return context_; }

 private:
  PrimaryContext(const CudaDriver& driver, CudaDevice device, CudaContext context)
      : driver_(driver), device_(device), context_(context) {}

  const CudaDriver& driver_;
  CudaDevice device_;
  CudaContext context_;
};

}  // namespace mooncake::transfer
