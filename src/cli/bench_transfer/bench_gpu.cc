#include "cli/bench_transfer/bench_gpu.h"

#include <fmt/core.h>

#include <array>
#include <chrono>

#include "cli/transfer/segment_service.h"

namespace mooncake::cli {

using transfer::cuda_address;
using transfer::cuda_error;
using transfer::CudaAddress;
using transfer::CudaResult;
using transfer::CudaScope;

Result<std::unique_ptr<BenchGpu>> BenchGpu::open(std::uint64_t bytes) {
  const auto driver = transfer::load_cuda_driver();
  if (!driver.ok()) return driver.status().annotate("no GPU");
  MC_ASSIGN_OR_RETURN(transfer::PrimaryContext context, transfer::PrimaryContext::retain(**driver, 0));
  std::unique_ptr<BenchGpu> gpu(new BenchGpu(**driver, std::move(context), bytes));
  MC_RETURN_IF_ERROR(gpu->set_up());
  return gpu;
}

Status BenchGpu::set_up() {
  std::array<char, 256> name{};
  static_cast<void>(driver_.DeviceGetName(name.data(), static_cast<int>(name.size()), 0));
  name_ = name.data();
  MC_ASSIGN_OR_RETURN(host_, pools_.allocate(bytes_));
  const CudaScope scope(driver_, context_.get());
  CudaResult error = driver_.MemHostRegister(host_.data(), host_.size(), 0);
  if (error != CudaResult::kSuccess) return cuda_error(driver_, error, fmt::format("pinning {} bytes", bytes_));
  pinned_ = true;
  for (CudaAddress* const each : {&memory_, &other_}) {
    error = driver_.MemAlloc(each, bytes_);
    if (error != CudaResult::kSuccess) return cuda_error(driver_, error, fmt::format("{} bytes of {}", bytes_, name_));
  }
  error = driver_.StreamCreate(&stream_, transfer::kCudaStreamNonBlocking);
  return error == CudaResult::kSuccess ? Status() : cuda_error(driver_, error, "cuStreamCreate");
}

BenchGpu::~BenchGpu() {
  const CudaScope scope(driver_, context_.get());
  if (stream_ != nullptr) static_cast<void>(driver_.StreamDestroy(stream_));
  for (const CudaAddress each : {memory_, other_}) {
    if (each != 0) static_cast<void>(driver_.MemFree(each));
  }
  if (pinned_) static_cast<void>(driver_.MemHostUnregister(host_.data()));
}

ByteSpan BenchGpu::span(CudaAddress address) const {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a device's address, which the driver gives as a number
  return {reinterpret_cast<std::byte*>(address), bytes_};
}

Status BenchGpu::copy_batch(CudaAddress to, CudaAddress from, const BulkShape& shape) {
  for (std::uint32_t i = 0; i < shape.batch; ++i) {
    const std::uint64_t at = i * shape.block_bytes;
    const CudaResult error = driver_.MemcpyAsync(to + at, from + at, shape.block_bytes, stream_);
    if (error != CudaResult::kSuccess) return cuda_error(driver_, error, "cuMemcpyAsync");
  }
  const CudaResult error = driver_.StreamSynchronize(stream_);
  return error == CudaResult::kSuccess ? Status() : cuda_error(driver_, error, "cuStreamSynchronize");
}

Result<LoadResult> BenchGpu::copy(Way way, const BulkShape& shape, Nanos duration) {
  CHECK(shape.threads == 1 && shape.bytes() <= bytes_);
  const CudaAddress to = way == Way::kFromGpu ? cuda_address(host_.data()) : memory_;
  const CudaAddress from = way == Way::kToGpu ? cuda_address(host_.data()) : way == Way::kInside ? other_ : memory_;
  const CudaScope scope(driver_, context_.get());
  MC_RETURN_IF_ERROR(copy_batch(to, from, shape));  // the first one also finds pages
  LoadResult result;
  const SteadyClock clock;
  const double cpu_before = process_cpu_s();
  const Instant begin = clock.now();
  Instant now = begin;
  do {
    MC_RETURN_IF_ERROR(copy_batch(to, from, shape));
    const Instant done = clock.now();
    result.latency_us.push_back(std::chrono::duration<double, std::micro>(done - now).count());
    now = done;
  } while (now < begin + duration);
  result.seconds = std::chrono::duration<double>(now - begin).count();
  result.cpu_s = process_cpu_s() - cpu_before;
  result.operations = result.latency_us.size() * shape.batch;
  result.bytes = result.operations * shape.block_bytes;
  return result;
}

}  // namespace mooncake::cli
