#include "transfer/cuda/direct_memory.h"

#include <fmt/format.h>
#include <unistd.h>

#include "transfer/cuda/device_pointer.h"

namespace mooncake::transfer {
namespace {

Status unsupported(int ordinal, std::string_view why) {
  return {Code::kUnsupported, fmt::format("cuda: network cards cannot reach memory of GPU {}: {}", ordinal, why)};
}

int attribute(const CudaDriver& driver, int which, CudaDevice device) {
  int value = 0;
  // One that this driver does not know is one that the device does not have.
  return driver.DeviceGetAttribute(&value, which, device) == CudaResult::kSuccess ? value : 0;
}

/// Whether flush() has something to do. @return kUnsupported.
Result<bool> must_flush(const CudaDriver& driver, int ordinal) {
  CudaDevice device = 0;
  if (const CudaResult error = driver.DeviceGet(&device, ordinal); error != CudaResult::kSuccess) {
    return cuda_error(driver, error, "cuDeviceGet");
  }
  if (driver.MemGetHandleForAddressRange == nullptr) return unsupported(ordinal, "the driver is older than CUDA 11.7");
  if (attribute(driver, kCudaDeviceDmaBuf, device) == 0) {
    return unsupported(ordinal, "its driver gives no dma-buf of it; NVIDIA's open kernel modules may");
  }
  // Another GPU may be the next to copy from there, so that the owner's own view is not enough.
  if (attribute(driver, kCudaDeviceRdmaOrdering, device) >= kCudaRdmaOrderedForAll) return false;
  const bool flushes = driver.FlushGPUDirectRDMAWrites != nullptr &&
                       (attribute(driver, kCudaDeviceRdmaFlush, device) & kCudaRdmaFlushByHost) != 0;
  if (flushes) return true;
  return unsupported(ordinal, "neither does it order what they write, nor can it be made to");
}

}  // namespace

Result<DirectMemory> DirectMemory::create(const CudaDriver& driver, ConstByteSpan memory) {
  const std::optional<int> ordinal = device_of(driver, memory.data());
  if (!ordinal.has_value()) return Status(Code::kUnavailable, "cuda: the memory is no GPU's (any more)");
  MC_ASSIGN_OR_RETURN(const bool flushes, must_flush(driver, *ordinal));
  MC_ASSIGN_OR_RETURN(PrimaryContext context, PrimaryContext::retain(driver, *ordinal));
  DirectMemory made(driver, std::move(context), flushes);
  MC_RETURN_IF_ERROR(made.export_pages(memory));
  return made;
}

/// Just the pages that `memory` touches, not its whole allocation: an allocation of several physical pieces has no
/// beginning and length that the driver would tell.
Status DirectMemory::export_pages(ConstByteSpan memory) {
  const auto page = static_cast<CudaAddress>(::sysconf(_SC_PAGESIZE));
  const CudaAddress begin = cuda_address(memory.data()) / page * page;
  const CudaAddress end = (cuda_address(memory.data()) + memory.size() + page - 1) / page * page;
  offset_ = cuda_address(memory.data()) - begin;
  const CudaScope scope(driver_, context_.get());
  // Copies that the user's calls leave running behind their return would be overtaken by cards. Not every kind of
  // memory has this switch, and who waits for his stream before he submits needs none.
  const unsigned on = 1;
  static_cast<void>(driver_.PointerSetAttribute(&on, kCudaPointerSyncMemops, cuda_address(memory.data())));
  int fd = -1;
  const CudaResult error = driver_.MemGetHandleForAddressRange(&fd, begin, end - begin, kCudaRangeDmaBuf, 0);
  if (error == CudaResult::kSuccess) {
    fd_ = UniqueFd(fd);
    return {};
  }
  const Status why = cuda_error(driver_, error, fmt::format("a dma-buf of {} bytes", end - begin));
  return error == CudaResult::kNotSupported ? Status(Code::kUnsupported, why.message()) : why;
}

Status DirectMemory::flush() const {
  if (!must_flush_) return {};
  const CudaScope scope(driver_, context_.get());
  const CudaResult error = driver_.FlushGPUDirectRDMAWrites(kCudaRdmaFlushContext, kCudaRdmaOrderedForAll);
  if (error == CudaResult::kSuccess) return {};
  return cuda_error(driver_, error, "waiting until the GPU sees what a network card has written");
}

}  // namespace mooncake::transfer
