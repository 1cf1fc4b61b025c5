// A test double of libcuda.so.1: as much of the driver as src/transfer/cuda/ uses, over memory of the host. It behaves
// as the real one where the engine relies on it, and is stricter where the real one would only be slow or silent:
//
// - Device memory has addresses of its own, which the host cannot touch: reading or writing one is a SIGSEGV, and
// EFAULT
//   to the kernel. The bytes are a memfd, mapped elsewhere for the double alone.
// - Streams run in order, each on a thread of its own, which also calls host functions.
// - Asynchronous copies to or from memory of the host that is not pinned are refused; the real driver would block.
// - What network cards write to device memory (the double of libibverbs, tests/rdma/) stays unseen by the device until
// it
//   is flushed, unless the device is said to order such writes.
// - A device that is lost calls no host function any more and fails every call, as after a sticky error.
//
// simulated_cuda_...() are for tests: they inject errors, hold copies back and count what is alive.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "transfer/cuda/cuda_driver.h"

namespace mooncake::transfer {

struct CudaContextTag {
  int device = 0;
  int retained = 0;
};

/// A thread that does what it is told, in order.
struct CudaStreamTag {
  CudaStreamTag() : thread_([this] { run(); }) {}
  ~CudaStreamTag() {
    {
      const std::lock_guard lock(mutex_);
      end_ = true;
      changed_.notify_all();
    }
    thread_.join();
  }
  void push(std::function<void()> task) {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    changed_.notify_all();
  }
  bool idle() {
    const std::lock_guard lock(mutex_);
    return tasks_.empty() && !running_;
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return tasks_.empty() && !running_; });
  }
  void drop() {
    const std::lock_guard lock(mutex_);
    tasks_.clear();
    changed_.notify_all();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return end_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      running_ = true;
      lock.unlock();
      task();
      task = nullptr;
      lock.lock();
      running_ = false;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool running_ = false;
  bool end_ = false;
  std::thread thread_;
};

}  // namespace mooncake::transfer

namespace {

using namespace mooncake::transfer;

constexpr CudaResult error_of(int number) { return static_cast<CudaResult>(number); }
constexpr CudaResult kSuccess = CudaResult::kSuccess;
constexpr CudaResult kInvalidValue = CudaResult::kInvalidValue;
constexpr CudaResult kOutOfMemory = CudaResult::kOutOfMemory;
constexpr CudaResult kNotInitialized = CudaResult::kNotInitialized;
constexpr CudaResult kNotReady = CudaResult::kNotReady;
constexpr CudaResult kAlreadyRegistered = CudaResult::kAlreadyRegistered;
constexpr CudaResult kInvalidDevice = error_of(101);
constexpr CudaResult kInvalidContext = error_of(201);
constexpr CudaResult kIllegalAddress = error_of(700);
constexpr CudaResult kNotSupported = CudaResult::kNotSupported;
constexpr CudaResult kNotRegistered = error_of(713);
constexpr int kDevices = 2;

using Address = CudaAddress;
using Context = CudaContextTag;
using Stream = CudaStreamTag;

struct Allocation {
  std::size_t bytes = 0;
  int device = 0;
  std::byte* alias = nullptr;  // where the double reads and writes it
  int fd = -1;                 // of these bytes
};

/// Written by a network card, and not yet seen.
struct PostedWrite {
  void* to = nullptr;  // in the card's mapping
  std::vector<std::byte> bytes;
};

struct State {
  std::mutex mutex;
  std::condition_variable released;
  bool initialized = false;
  bool held = false;
  bool lost = false;
  std::map<Address, Allocation> allocations;
  std::map<Address, std::size_t> pinned;
  std::set<Stream*> streams;
  std::map<std::string, std::pair<CudaResult, int>> failures;  // by function: error, how many times
  Context contexts[kDevices] = {{.device = 0}, {.device = 1}};
  std::map<std::string, int> abilities = {{"dma_buf", 1}, {"rdma_ordering", 200}, {"rdma_flush", 1}};
  std::deque<PostedWrite> posted;
  long flushes = 0;
  long copies = 0;
  std::atomic<long> copies_now{0};
  long copies_most = 0;
};

/// Never freed: threads of streams may outlive main().
State& state() {
  static State& it = *new State;
  return it;
}

/// Counts a copy as long as it waits or runs, also if its stream drops it.
struct CountedCopy {
  CountedCopy() {
    State& s = state();
    s.copies_most = std::max(s.copies_most, ++s.copies_now);
  }
  ~CountedCopy() { --state().copies_now; }
  CountedCopy(const CountedCopy&) = delete;
  CountedCopy& operator=(const CountedCopy&) = delete;
};

thread_local std::vector<Context*> current;

/// The error that was injected for this call, or that a lost device gives.
CudaResult injected(State& s, const char* function) {
  const auto found = s.failures.find(function);
  if (found != s.failures.end() && found->second.second > 0) {
    --found->second.second;
    return found->second.first;
  }
  return s.lost ? kIllegalAddress : kSuccess;
}

const Allocation* find(const State& s, Address address, Address& begin) {
  auto found = s.allocations.upper_bound(address);
  if (found == s.allocations.begin()) return nullptr;
  --found;
  begin = found->first;
  return address < begin + found->second.bytes ? &found->second : nullptr;
}

/// Where the double itself finds `bytes` at an address, or null if they are not all of one allocation, or not pinned.
std::byte* resolve(const State& s, Address address, std::size_t bytes, bool must_be_pinned) {
  Address begin = 0;
  if (const Allocation* allocation = find(s, address, begin)) {
    return address + bytes <= begin + allocation->bytes ? allocation->alias + (address - begin) : nullptr;
  }
  if (must_be_pinned) {
    auto pin = s.pinned.upper_bound(address);
    if (pin == s.pinned.begin()) return nullptr;
    --pin;
    if (address + bytes > pin->first + pin->second) return nullptr;
  }
  return reinterpret_cast<std::byte*>(address);
}

#define SIMULATE(function)                         \
  State& s = state();                              \
  [[maybe_unused]] std::unique_lock lock(s.mutex); \
  if (!s.initialized) return kNotInitialized;      \
  if (const CudaResult error = injected(s, function); error != kSuccess) return error

}  // namespace

extern "C" {

// --- For tests.

/// The next `times` calls of that function fail with `error`.
void simulated_cuda_fail(const char* function, int error, int times) {
  const std::lock_guard lock(state().mutex);
  state().failures[function] = {error_of(error), times};
}
/// Copies that begin from now on end only when this is called with 0.
void simulated_cuda_hold(int held) {
  const std::lock_guard lock(state().mutex);
  state().held = held != 0;
  state().released.notify_all();
}
/// The devices are lost (1), or as new (0).
void simulated_cuda_lose(int lost) {
  const std::lock_guard lock(state().mutex);
  state().lost = lost != 0;
  if (state().lost) {
    for (Stream* stream : state().streams) stream->drop();
  }
  state().released.notify_all();
}
/// "dma_buf" (0 or 1), "rdma_ordering" (0, 100, 200) and "rdma_flush" (0 or 1) of both devices. What cards have written
/// and nobody has seen is lost.
void simulated_cuda_set(const char* what, int value) {
  const std::lock_guard lock(state().mutex);
  state().abilities.at(what) = value;
  state().posted.clear();
}
/// For the double of libibverbs: a card writes `bytes` at `to`, where it has mapped a dma-buf.
void simulated_cuda_post_write(void* to, const void* from, std::size_t bytes) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (s.abilities.at("rdma_ordering") >= kCudaRdmaOrderedForAll) {
    std::memcpy(to, from, bytes);
    return;
  }
  const auto* const begin = static_cast<const std::byte*>(from);
  s.posted.push_back({.to = to, .bytes = {begin, begin + bytes}});
}
/// "flushes" (ever), "allocations", "pinned", "streams", "contexts", "copies" (ever), "copies_now", "copies_most" (at
/// once); -1 else.
long simulated_cuda_count(const char* what) {
  const std::lock_guard lock(state().mutex);
  const std::string name = what;
  if (name == "flushes") return state().flushes;
  if (name == "allocations") return static_cast<long>(state().allocations.size());
  if (name == "pinned") return static_cast<long>(state().pinned.size());
  if (name == "streams") return static_cast<long>(state().streams.size());
  if (name == "contexts") return state().contexts[0].retained + state().contexts[1].retained;
  if (name == "copies") return state().copies;
  if (name == "copies_now") return state().copies_now;
  if (name == "copies_most") return state().copies_most;
  return -1;
}

// --- The driver's own.

CudaResult cuInit(unsigned) {
  const std::lock_guard lock(state().mutex);
  if (const CudaResult error = injected(state(), "cuInit"); error != kSuccess) return error;
  state().initialized = true;
  return kSuccess;
}
CudaResult cuDriverGetVersion(int* version) {
  *version = 12000;
  return kSuccess;
}
CudaResult cuGetErrorName(CudaResult error, const char** text) {
  static const std::map<CudaResult, const char*> names = {{kSuccess, "CUDA_SUCCESS"},
                                                          {kInvalidValue, "CUDA_ERROR_INVALID_VALUE"},
                                                          {kOutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY"},
                                                          {kNotInitialized, "CUDA_ERROR_NOT_INITIALIZED"},
                                                          {CudaResult::kNoDevice, "CUDA_ERROR_NO_DEVICE"},
                                                          {kIllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS"}};
  const auto found = names.find(error);
  *text = found == names.end() ? nullptr : found->second;
  return found == names.end() ? kInvalidValue : kSuccess;
}
CudaResult cuGetErrorString(CudaResult error, const char** text) {
  const CudaResult found = cuGetErrorName(error, text);
  if (found == kSuccess) *text = "an error of the simulated driver";
  return found;
}
CudaResult cuDeviceGetCount(int* count) {
  SIMULATE("cuDeviceGetCount");
  *count = kDevices;
  return kSuccess;
}
CudaResult cuDeviceGet(int* device, int ordinal) {
  SIMULATE("cuDeviceGet");
  if (ordinal < 0 || ordinal >= kDevices) return kInvalidDevice;
  *device = ordinal;
  return kSuccess;
}
CudaResult cuDeviceGetName(char* name, int bytes, int device) {
  std::snprintf(name, static_cast<std::size_t>(bytes), "simulated GPU %d", device);
  return kSuccess;
}
CudaResult cuDeviceGetAttribute(int* value, int attribute, int /*device*/) {
  SIMULATE("cuDeviceGetAttribute");
  const char* const name = attribute == kCudaDeviceDmaBuf         ? "dma_buf"
                           : attribute == kCudaDeviceRdmaOrdering ? "rdma_ordering"
                           : attribute == kCudaDeviceRdmaFlush    ? "rdma_flush"
                                                                  : nullptr;
  if (name == nullptr) return kInvalidValue;
  *value = s.abilities.at(name);
  return kSuccess;
}
CudaResult cuDevicePrimaryCtxRetain(Context** context, int device) {
  SIMULATE("cuDevicePrimaryCtxRetain");
  *context = &s.contexts[device];
  ++s.contexts[device].retained;
  return kSuccess;
}
CudaResult cuDevicePrimaryCtxRelease_v2(int device) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  --s.contexts[device].retained;
  return kSuccess;
}
CudaResult cuCtxPushCurrent_v2(Context* context) {
  if (context == nullptr) return kInvalidContext;
  current.push_back(context);
  return kSuccess;
}
CudaResult cuCtxPopCurrent_v2(Context** context) {
  if (current.empty()) return kInvalidContext;
  *context = current.back();
  current.pop_back();
  return kSuccess;
}

CudaResult cuMemAlloc_v2(Address* address, std::size_t bytes) {
  SIMULATE("cuMemAlloc_v2");
  if (current.empty()) return kInvalidContext;
  const std::size_t pages = (bytes + 4095) / 4096 * 4096;
  const int fd = ::memfd_create("simulated-gpu", MFD_CLOEXEC);
  if (fd < 0 || ::ftruncate(fd, static_cast<off_t>(pages)) != 0) return kOutOfMemory;
  void* const alias = ::mmap(nullptr, pages, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  void* const device = ::mmap(nullptr, pages, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (alias == MAP_FAILED || device == MAP_FAILED) return kOutOfMemory;
  *address = reinterpret_cast<Address>(device);
  s.allocations[*address] = {bytes, current.back()->device, static_cast<std::byte*>(alias), fd};
  return kSuccess;
}
CudaResult cuMemFree_v2(Address address) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  const auto found = s.allocations.find(address);
  if (found == s.allocations.end()) return kInvalidValue;
  const std::size_t pages = (found->second.bytes + 4095) / 4096 * 4096;
  ::munmap(found->second.alias, pages);
  ::close(found->second.fd);
  ::munmap(reinterpret_cast<void*>(address), pages);
  s.allocations.erase(found);
  return kSuccess;
}
CudaResult cuPointerGetAttribute(void* value, int attribute, Address address) {
  SIMULATE("cuPointerGetAttribute");
  Address begin = 0;
  const Allocation* allocation = find(s, address, begin);
  if (allocation == nullptr) {
    std::byte* const host = resolve(s, address, 1, true);
    if (host == nullptr) return kInvalidValue;  // the driver never saw it
    const std::uint32_t kHostMemory = 1;
    if (attribute == 2) std::memcpy(value, &kHostMemory, sizeof kHostMemory);
    return attribute == 2 ? kSuccess : kInvalidValue;
  }
  const std::uint32_t kDeviceMemory = 2;
  if (attribute == 2) std::memcpy(value, &kDeviceMemory, sizeof kDeviceMemory);
  if (attribute == 9) std::memcpy(value, &allocation->device, sizeof allocation->device);
  return attribute == 2 || attribute == 9 ? kSuccess : kInvalidValue;
}

CudaResult cuPointerSetAttribute(const void* /*value*/, int attribute, Address address) {
  SIMULATE("cuPointerSetAttribute");
  Address begin = 0;
  return attribute == kCudaPointerSyncMemops && find(s, address, begin) != nullptr ? kSuccess : kInvalidValue;
}
/// A dma-buf of the double is a descriptor of the allocation's memory; it begins at the descriptor's position.
CudaResult cuMemGetHandleForAddressRange(void* handle, Address address, std::size_t bytes, int type,
                                         unsigned long long flags) {
  SIMULATE("cuMemGetHandleForAddressRange");
  if (current.empty()) return kInvalidContext;
  Address begin = 0;
  const Allocation* allocation = find(s, address, begin);
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  if (allocation == nullptr || address % page != 0 || bytes % page != 0 || type != kCudaRangeDmaBuf || flags != 0) {
    return kInvalidValue;
  }
  if (s.abilities.at("dma_buf") == 0) return kNotSupported;
  if (address + bytes > begin + (allocation->bytes + page - 1) / page * page) return kInvalidValue;
  const std::string path = "/proc/self/fd/" + std::to_string(allocation->fd);
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);  // a position of its own, unlike dup()'s
  if (fd < 0 || ::lseek(fd, static_cast<off_t>(address - begin), SEEK_SET) < 0) return kOutOfMemory;
  *static_cast<int*>(handle) = fd;
  return kSuccess;
}
CudaResult cuFlushGPUDirectRDMAWrites(int target, int scope) {
  SIMULATE("cuFlushGPUDirectRDMAWrites");
  if (current.empty()) return kInvalidContext;
  if (target != kCudaRdmaFlushContext || scope != kCudaRdmaOrderedForAll) return kInvalidValue;
  if (s.abilities.at("rdma_flush") == 0) return kNotSupported;
  ++s.flushes;
  for (const PostedWrite& write : s.posted) std::memcpy(write.to, write.bytes.data(), write.bytes.size());
  s.posted.clear();
  return kSuccess;
}

CudaResult cuMemHostRegister_v2(void* memory, std::size_t bytes, unsigned) {
  SIMULATE("cuMemHostRegister_v2");
  if (current.empty()) return kInvalidContext;
  const auto [at, added] = s.pinned.emplace(reinterpret_cast<Address>(memory), bytes);
  return added ? kSuccess : kAlreadyRegistered;
}
CudaResult cuMemHostUnregister(void* memory) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (current.empty()) return kInvalidContext;
  return s.pinned.erase(reinterpret_cast<Address>(memory)) == 1 ? kSuccess : kNotRegistered;
}

CudaResult cuStreamCreate(Stream** stream, unsigned) {
  SIMULATE("cuStreamCreate");
  if (current.empty()) return kInvalidContext;
  *stream = new Stream;
  s.streams.insert(*stream);
  return kSuccess;
}
CudaResult cuStreamDestroy_v2(Stream* stream) {
  {
    const std::lock_guard lock(state().mutex);
    state().streams.erase(stream);
  }
  delete stream;
  return kSuccess;
}
CudaResult cuStreamQuery(Stream* stream) {
  SIMULATE("cuStreamQuery");
  return stream->idle() ? kSuccess : kNotReady;
}
CudaResult cuStreamSynchronize(Stream* stream) {
  { SIMULATE("cuStreamSynchronize"); }
  stream->wait();
  return kSuccess;
}
CudaResult cuMemcpyAsync(Address to, Address from, std::size_t bytes, Stream* stream) {
  SIMULATE("cuMemcpyAsync");
  if (current.empty()) return kInvalidContext;
  std::byte* const target = resolve(s, to, bytes, true);
  const std::byte* const source = resolve(s, from, bytes, true);
  if (target == nullptr || source == nullptr) return kInvalidValue;
  ++s.copies;
  stream->push([target, source, bytes, counted = std::make_shared<CountedCopy>()] {
    State& then = state();
    {
      std::unique_lock waiting(then.mutex);
      then.released.wait(waiting, [&] { return !then.held || then.lost; });
      if (then.lost) return;
    }
    std::memmove(target, source, bytes);
  });
  return kSuccess;
}
CudaResult cuLaunchHostFunc(Stream* stream, void (*function)(void*), void* user) {
  SIMULATE("cuLaunchHostFunc");
  stream->push([function, user] {
    state().mutex.lock();
    const bool lost = state().lost;
    state().mutex.unlock();
    if (!lost) function(user);
  });
  return kSuccess;
}
CudaResult cuMemcpyHtoD_v2(Address to, const void* from, std::size_t bytes) {
  SIMULATE("cuMemcpyHtoD_v2");
  std::byte* const target = resolve(s, to, bytes, true);
  if (target == nullptr) return kInvalidValue;
  std::memcpy(target, from, bytes);
  return kSuccess;
}
CudaResult cuMemcpyDtoH_v2(void* to, Address from, std::size_t bytes) {
  SIMULATE("cuMemcpyDtoH_v2");
  const std::byte* const source = resolve(s, from, bytes, true);
  if (source == nullptr) return kInvalidValue;
  std::memcpy(to, source, bytes);
  return kSuccess;
}

}  // extern "C"
