// FixedBuffers: shared pools as registered buffers of a ring. Their pages are pinned once instead of at every
// operation.
//
// A pool is cut into chunks, and a chunk is registered when an operation first lies in it: a pool is populated lazily,
// and pinning populates. An operation that crosses chunks, or lies elsewhere, goes without. Pinned memory counts
// against RLIMIT_MEMLOCK; when that is used up no more is tried. Loop thread only.
#pragma once

#include <liburing.h>

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "transfer/shm/pool_set.h"

namespace mooncake::transfer {

/// Pinning and zeroing that much takes the loop 1 to 3 ms, once.
inline constexpr std::size_t kFixedChunkBytes = 8u << 20;
/// 32 GiB of pools; the kernel allows 16,384 entries.
inline constexpr unsigned kFixedChunksMax = 4096;

class FixedBuffers {
 public:
  /// `ring` and `pools` outlive it.
  FixedBuffers(io_uring& ring, const PoolSet& pools);

  /// The index of the registered buffer that holds all of `memory`, or -1.
  int index_of(ByteSpan memory);
  /// Unpins what belongs to the pool.
  void pool_gone(std::uint64_t pool);

 private:
  using Chunk = std::pair<std::uint64_t, std::uint64_t>;  // pool, number

  int add(Chunk chunk, ByteSpan memory);
  int update(int index, ByteSpan memory);

  io_uring& ring_;
  const PoolSet& pools_;
  bool enabled_ = false;
  std::map<Chunk, int> indexes_;
  std::vector<int> free_;
};

}  // namespace mooncake::transfer
