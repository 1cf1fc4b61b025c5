// CudaDriver: NVIDIA's driver library, opened at run time. A machine without it, or without a GPU, runs the same
// binary.
//
// What it exports is a C interface that keeps its binary form for ever: a function whose arguments change gets a new
// name (..._v2). So the few functions and numbers that are used are declared here, and nothing of NVIDIA's is needed to
// build.
//
// Source: CUDA Driver API, https://docs.nvidia.com/cuda/cuda-driver-api/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/status.h"

namespace mooncake::transfer {

/// CUresult, as far as it is told apart here.
enum class CudaResult : int {
  kSuccess = 0,
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kNotInitialized = 3,
  kNoDevice = 100,
  kNotReady = 600,
  kAlreadyRegistered = 712,
  kNotSupported = 801,
  kUnknown = 999,
};
using CudaDevice = int;
using CudaAddress = std::uint64_t;           // CUdeviceptr; one address space for host and devices
using CudaContext = struct CudaContextTag*;  // opaque
using CudaStream = struct CudaStreamTag*;    // opaque

inline constexpr int kCudaPointerMemoryType = 2;          // CU_POINTER_ATTRIBUTE_MEMORY_TYPE, a uint32_t
inline constexpr int kCudaPointerDeviceOrdinal = 9;       // CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, an int
inline constexpr std::uint32_t kCudaMemoryDevice = 2;     // CU_MEMORYTYPE_DEVICE
inline constexpr int kCudaPointerSyncMemops = 6;          // CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, an unsigned
inline constexpr int kCudaDeviceRdmaFlush = 117;          // CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_FLUSH_WRITES_OPTIONS
inline constexpr int kCudaDeviceRdmaOrdering = 118;       // CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WRITES_ORDERING
inline constexpr int kCudaDeviceDmaBuf = 124;             // CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED
inline constexpr int kCudaRdmaFlushByHost = 1;            // CU_FLUSH_GPU_DIRECT_RDMA_WRITES_OPTION_HOST, a bit
inline constexpr int kCudaRdmaOrderedForAll = 200;        // CU_..._TO_ALL_DEVICES, as an ordering and as a scope
inline constexpr int kCudaRdmaFlushContext = 0;           // CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TARGET_CURRENT_CTX
inline constexpr int kCudaRangeDmaBuf = 1;                // CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD, an int
inline constexpr unsigned kCudaStreamNonBlocking = 1;     // CU_STREAM_NON_BLOCKING: waits for no other stream
inline constexpr unsigned kCudaHostRegisterPortable = 1;  // CU_MEMHOSTREGISTER_PORTABLE: pinned for every device

/// Entry points of libcuda.so.1, by their names there without "cu". Each behaves as NVIDIA's manual says.
struct CudaDriver {
  CudaResult (*Init)(unsigned flags);
  CudaResult (*DriverGetVersion)(int* version);
  CudaResult (*GetErrorName)(CudaResult error, const char** text);
  CudaResult (*GetErrorString)(CudaResult error, const char** text);
  CudaResult (*DeviceGetCount)(int* count);
  CudaResult (*DeviceGet)(CudaDevice* device, int ordinal);
  CudaResult (*DeviceGetName)(char* name, int bytes, CudaDevice device);
  CudaResult (*DeviceGetAttribute)(int* value, int attribute, CudaDevice device);
  CudaResult (*DevicePrimaryCtxRetain)(CudaContext* context, CudaDevice device);
  CudaResult (*DevicePrimaryCtxRelease)(CudaDevice device);
  CudaResult (*CtxPushCurrent)(CudaContext context);
  CudaResult (*CtxPopCurrent)(CudaContext* context);
  CudaResult (*PointerGetAttribute)(void* value, int attribute, CudaAddress address);
  CudaResult (*PointerSetAttribute)(const void* value, int attribute, CudaAddress address);
  CudaResult (*StreamCreate)(CudaStream* stream, unsigned flags);
  CudaResult (*StreamDestroy)(CudaStream stream);
  CudaResult (*StreamQuery)(CudaStream stream);
  CudaResult (*StreamSynchronize)(CudaStream stream);
  CudaResult (*LaunchHostFunc)(CudaStream stream, void (*function)(void* user), void* user);
  CudaResult (*MemcpyAsync)(CudaAddress to, CudaAddress from, std::size_t bytes, CudaStream stream);
  CudaResult (*MemAlloc)(CudaAddress* address, std::size_t bytes);
  CudaResult (*MemFree)(CudaAddress address);
  CudaResult (*MemHostRegister)(void* memory, std::size_t bytes, unsigned flags);
  CudaResult (*MemHostUnregister)(void* memory);

  // Null where the driver is older than CUDA 11.7 or 11.3.
  CudaResult (*MemGetHandleForAddressRange)(void* handle, CudaAddress address, std::size_t bytes, int type,
                                            unsigned long long flags);
  CudaResult (*FlushGPUDirectRDMAWrites)(int target, int scope);
};

/// The table, loaded and initialised once and kept for the life of the process. Thread-safe. The first call may take a
/// second.
/// @return kUnavailable when the library, a symbol of it or a GPU is missing: the message says what to do.
Result<const CudaDriver*> load_cuda_driver();

/// The same if this process uses the library already, whoever opened it; else null. Loads nothing: where this is null
/// no pointer can be one of a device. Thread-safe.
const CudaDriver* find_cuda_driver();

/// kExhausted when memory is short, else kUnavailable: "cuda: `what`: CUDA_ERROR_...: the driver's own words".
Status cuda_error(const CudaDriver& driver, CudaResult error, std::string_view what);

inline CudaAddress cuda_address(const void* memory) { return reinterpret_cast<std::uintptr_t>(memory); }

/// Makes a context the calling thread's current one, and gives that thread its own back. Callbacks of users share our
/// thread, and may have a context of theirs.
class CudaScope {
 public:
  CudaScope(const CudaDriver& driver, CudaContext context)
      : driver_(driver), pushed_(driver.CtxPushCurrent(context) == CudaResult::kSuccess) {}
  ~CudaScope() {
    CudaContext context = nullptr;
    if (pushed_) static_cast<void>(driver_.CtxPopCurrent(&context));
  }
  CudaScope(const CudaScope&) = delete;
  CudaScope& operator=(const CudaScope&) = delete;

 private:
  const CudaDriver& driver_;
  bool pushed_;
};

}  // namespace mooncake::transfer
