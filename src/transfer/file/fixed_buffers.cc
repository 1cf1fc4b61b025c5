#include "transfer/file/fixed_buffers.h"

#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "transfer/fd.h"

namespace mooncake::transfer {

FixedBuffers::FixedBuffers(io_uring& ring, const PoolSet& pools) : ring_(ring), pools_(pools) {
  enabled_ = io_uring_register_buffers_sparse(&ring_, kFixedChunksMax) == 0;  // since Linux 5.19
  if (!enabled_) return;
  free_.reserve(kFixedChunksMax);
  for (int index = kFixedChunksMax; index > 0; --index) free_.push_back(index - 1);
}

int FixedBuffers::index_of(ByteSpan memory) {
  const auto place = pools_.find(memory);
  if (!place.has_value()) return -1;
  const std::uint64_t number = place->offset / kFixedChunkBytes;
  const std::uint64_t begin = number * kFixedChunkBytes;
  if (place->offset + memory.size() > begin + kFixedChunkBytes) return -1;
  const Chunk chunk{place->pool, number};
  if (const auto found = indexes_.find(chunk); found != indexes_.end()) return found->second;
  const std::size_t bytes = std::min<std::uint64_t>(kFixedChunkBytes, place->memory.size() - begin);
  return add(chunk, {memory.data() - (place->offset - begin), bytes});
}

int FixedBuffers::add(Chunk chunk, ByteSpan memory) {
  if (!enabled_ || free_.empty()) return -1;
  const int index = free_.back();
  if (const int error = update(index, memory); error < 0) {
    enabled_ = false;
    log_debug("transfer: {} chunks of memory are pinned for files, no more: {}", indexes_.size(), errno_text(-error));
    return -1;
  }
  free_.pop_back();
  indexes_.emplace(chunk, index);
  return index;
}

/// An empty range empties the entry. @return 0 or a negative errno.
int FixedBuffers::update(int index, ByteSpan memory) {
  const iovec buffer{memory.data(), memory.size()};
  const __u64 tag = 0;
  const int updated = io_uring_register_buffers_update_tag(&ring_, static_cast<unsigned>(index), &buffer, &tag, 1);
  return updated < 0 ? updated : 0;
}

void FixedBuffers::pool_gone(std::uint64_t pool) {
  for (auto found = indexes_.lower_bound({pool, 0}); found != indexes_.end() && found->first.first == pool;) {
    if (const int error = update(found->second, {}); error == 0) {
      free_.push_back(found->second);
    } else {  // the entry stays as it is, and is not used any more
      log_warn("transfer: a pool that was freed stays pinned: {}", errno_text(-error));
    }
    found = indexes_.erase(found);
  }
}

}  // namespace mooncake::transfer
