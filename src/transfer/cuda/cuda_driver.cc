#include "transfer/cuda/cuda_driver.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>

#include <atomic>
#include <string>

namespace mooncake::transfer {
namespace {

constexpr const char* kLibrary = "libcuda.so.1";

/// Looks symbols up, and remembers the first that is missing.
class Loader {
 public:
  explicit Loader(void* library) : library_(library) {}

  template <typename Function>
  void load(Function*& into, const char* name) {
    load_if_there(into, name);
    if (into == nullptr && missing_.empty()) missing_ = name;
  }
  template <typename Function>
  void load_if_there(Function*& into, const char* name) {
    into = reinterpret_cast<Function*>(::dlsym(library_, name));
  }
  [[nodiscard]] const std::string& missing() const { return missing_; }

 private:
  void* library_;
  std::string missing_;
};

Status load_symbols(void* library, CudaDriver& driver) {
  Loader loader(library);
  loader.load(driver.Init, "cuInit");
  loader.load(driver.DriverGetVersion, "cuDriverGetVersion");
  loader.load(driver.GetErrorName, "cuGetErrorName");
  loader.load(driver.GetErrorString, "cuGetErrorString");
  loader.load(driver.DeviceGetCount, "cuDeviceGetCount");
  loader.load(driver.DeviceGet, "cuDeviceGet");
  loader.load(driver.DeviceGetName, "cuDeviceGetName");
  loader.load(driver.DeviceGetAttribute, "cuDeviceGetAttribute");
  loader.load(driver.DevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain");
  loader.load(driver.DevicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2");
  loader.load(driver.CtxPushCurrent, "cuCtxPushCurrent_v2");
  loader.load(driver.CtxPopCurrent, "cuCtxPopCurrent_v2");
  loader.load(driver.PointerGetAttribute, "cuPointerGetAttribute");
  loader.load(driver.PointerSetAttribute, "cuPointerSetAttribute");
  loader.load(driver.StreamCreate, "cuStreamCreate");
  loader.load(driver.StreamDestroy, "cuStreamDestroy_v2");
  loader.load(driver.StreamQuery, "cuStreamQuery");
  loader.load(driver.StreamSynchronize, "cuStreamSynchronize");
  loader.load(driver.LaunchHostFunc, "cuLaunchHostFunc");
  loader.load(driver.MemcpyAsync, "cuMemcpyAsync");
  loader.load(driver.MemAlloc, "cuMemAlloc_v2");
  loader.load(driver.MemFree, "cuMemFree_v2");
  loader.load(driver.MemHostRegister, "cuMemHostRegister_v2");
  loader.load(driver.MemHostUnregister, "cuMemHostUnregister");
  loader.load_if_there(driver.MemGetHandleForAddressRange, "cuMemGetHandleForAddressRange");
  loader.load_if_there(driver.FlushGPUDirectRDMAWrites, "cuFlushGPUDirectRDMAWrites");
  if (loader.missing().empty()) return {};
  return {Code::kUnavailable,
          fmt::format("cuda: {} has no {}: the driver must be of CUDA 10 or later", kLibrary, loader.missing())};
}

/// The table of the library that is open as `library`, which stays open: drivers keep threads and state.
const Result<const CudaDriver*>& table_of(void* library) {
  static CudaDriver driver;
  static const Result<const CudaDriver*> loaded = [library]() -> Result<const CudaDriver*> {
    MC_RETURN_IF_ERROR(load_symbols(library, driver));
    return &driver;
  }();
  return loaded;
}

Result<const CudaDriver*> load() {
  void* library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return Status(Code::kUnavailable,
                  fmt::format("cuda: {}; GPU memory needs NVIDIA's driver, with its libraries", ::dlerror()));
  }
  MC_ASSIGN_OR_RETURN(const CudaDriver* driver, table_of(library));
  if (const CudaResult error = driver->Init(0); error != CudaResult::kSuccess) {
    return cuda_error(*driver, error, "cuInit (is there a GPU, and may this process use it?)");
  }
  int devices = 0;
  if (const CudaResult error = driver->DeviceGetCount(&devices); error != CudaResult::kSuccess) {
    return cuda_error(*driver, error, "cuDeviceGetCount");
  }
  if (devices > 0) return driver;
  return Status(Code::kUnavailable, "cuda: the driver shows no GPU to this process; see CUDA_VISIBLE_DEVICES");
}

/// How often this process has loaded a library so far; not 0.
std::uint64_t libraries_loaded() {
  std::uint64_t loads = 0;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t /*bytes*/, void* user) {
        *static_cast<std::uint64_t*>(user) = info->dlpi_adds;
        return 1;  // it is the same for all
      },
      &loads);
  return loads;
}

}  // namespace

Result<const CudaDriver*> load_cuda_driver() {
  static const Result<const CudaDriver*> loaded = load();
  return loaded;
}

const CudaDriver* find_cuda_driver() {
  static std::atomic<const CudaDriver*> found{nullptr};
  static std::atomic<std::uint64_t> looked_at{0};
  if (const CudaDriver* driver = found.load(std::memory_order_acquire)) return driver;
  // Looking for it searches directories; it need not be looked for again before another library was loaded.
  const std::uint64_t loads = libraries_loaded();
  if (looked_at.load(std::memory_order_relaxed) == loads) return nullptr;
  void* library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
  if (library == nullptr) {
    looked_at.store(loads, std::memory_order_relaxed);
    return nullptr;
  }
  const Result<const CudaDriver*>& driver = table_of(library);
  if (!driver.ok()) return nullptr;
  found.store(*driver, std::memory_order_release);
  return *driver;
}

Status cuda_error(const CudaDriver& driver, CudaResult error, std::string_view what) {
  const char* name = nullptr;
  const char* words = nullptr;
  if (driver.GetErrorName(error, &name) != CudaResult::kSuccess || name == nullptr) name = "an unknown error";
  if (driver.GetErrorString(error, &words) != CudaResult::kSuccess || words == nullptr) words = "no explanation";
  const Code code = error == CudaResult::kOutOfMemory ? Code::kExhausted : Code::kUnavailable;
  return {code, fmt::format("cuda: {}: {} ({}): {}", what, name, static_cast<int>(error), words)};
}

}  // namespace mooncake::transfer
