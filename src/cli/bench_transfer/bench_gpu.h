// BenchGpu: the first GPU of a machine for a benchmark: memory of it that the engine moves, and what the driver alone
// makes of the same copies.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/status.h"
#include "base/time.h"
#include "cli/bench_transfer/bulk_load.h"
#include "cli/bench_transfer/load_result.h"
#include "transfer/cuda/primary_context.h"
#include "transfer/shm/pool_set.h"

namespace mooncake::cli {

class BenchGpu {
 public:
  /// Which ends of a copy are on the GPU.
  enum class Way : std::uint8_t { kToGpu, kFromGpu, kInside };

  /// Allocates `bytes` of the GPU twice, and as much of the host, pinned.
  /// @return kUnavailable if there is no GPU or no driver, kExhausted for want of memory: with the driver's reason.
  static Result<std::unique_ptr<BenchGpu>> open(std::uint64_t bytes);
  /// Engines that have its memory end before.
  ~BenchGpu();
  BenchGpu(const BenchGpu&) = delete;
  BenchGpu& operator=(const BenchGpu&) = delete;

  /// What the driver calls it.
  [[nodiscard]] const std::string& name() const { return name_; }
  /// True for the double of the driver that tests use. Its speed is no GPU's, and is not to be reported.
  [[nodiscard]] bool simulated() const { return name_.starts_with("simulated "); }
  /// Addresses on the GPU, not to be read or written.
  [[nodiscard]] ByteSpan memory() const { return span(memory_); }
  [[nodiscard]] ByteSpan other_memory() const { return span(other_); }

  /// Copies the blocks of a batch of `shape`, whose op does not matter, by cuMemcpyAsync on one stream and waits for
  /// them, again and again for `duration`. @return the driver's error; CHECK-fails if `shape` is larger than the
  /// memory.
  Result<LoadResult> copy(Way way, const BulkShape& shape, Nanos duration);

 private:
  BenchGpu(const transfer::CudaDriver& driver, transfer::PrimaryContext context, std::uint64_t bytes)
      : driver_(driver), context_(std::move(context)), bytes_(bytes) {}
  Status set_up();
  Status copy_batch(transfer::CudaAddress to, transfer::CudaAddress from, const BulkShape& shape);
  [[nodiscard]] ByteSpan span(transfer::CudaAddress address) const;

  const transfer::CudaDriver& driver_;
  const transfer::PrimaryContext context_;
  const std::uint64_t bytes_;
  std::string name_;
  transfer::PoolSet pools_;
  ByteSpan host_;
  bool pinned_ = false;
  transfer::CudaAddress memory_ = 0;
  transfer::CudaAddress other_ = 0;
  transfer::CudaStream stream_ = nullptr;
};

}  // namespace mooncake::cli
