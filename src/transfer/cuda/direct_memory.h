// DirectMemory: memory of a GPU that a network card of this machine is to read and write itself (GPUDirect RDMA). The
// driver gives the kernel a dma-buf of it, which the card's driver maps; no byte passes through the host.
//
// What a card writes passes the GPU's own caches and buses, so its completion alone does not say that the GPU sees the
// bytes. Some GPUs order that by themselves; others have to be asked, by flush(). A GPU that can do neither is not
// reached this way. Loop thread only, but for create().
//
// Source: CUDA Driver API, "GPU Direct RDMA writes ordering"; https://docs.nvidia.com/cuda/gpudirect-rdma/.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "transfer/cuda/primary_context.h"

namespace mooncake::transfer {

class DirectMemory {
 public:
  /// Of `memory`, all on one device. The dma-buf has the pages of this host around it, since the driver gives whole
  /// ones.
  /// @return kUnsupported if driver, kernel or device cannot do it, which will not change while this process runs;
  /// kUnavailable or kExhausted with the driver's error for this memory.
  static Result<DirectMemory> create(const CudaDriver& driver, ConstByteSpan memory);

  /// The dma-buf. Whoever maps it holds the memory by that; then it may be closed.
  [[nodiscard]] int fd() const { return fd_.get(); }
  void close_fd() { fd_ = UniqueFd(); }
  /// Where in it `memory` begins.
  [[nodiscard]] std::uint64_t offset() const { return offset_; }
  /// What cards have written before is there for whatever the GPUs of this process do after. Blocks for microseconds,
  /// if at all. @return the driver's error: nothing is known of the bytes.
  [[nodiscard]] Status flush() const;

 private:
  DirectMemory(const CudaDriver& driver, PrimaryContext context, bool must_flush)
      : driver_(driver), context_(std::move(context)), must_flush_(must_flush) {}
  Status export_pages(ConstByteSpan memory);

  const CudaDriver& driver_;
  PrimaryContext context_;
  bool must_flush_;
  UniqueFd fd_;
  std::uint64_t offset_ = 0;
};

}  // namespace mooncake::transfer
