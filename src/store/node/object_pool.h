// ObjectPool: the memory that a node's objects lie in: copies, checksums and transfer requests over their extents.
//
// What lies where is NodeCore's business. Thread-compatible; the memory belongs to whoever made it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "store/core/slab_allocator.h"
#include "transfer/transfer_engine.h"

namespace mooncake::store {

class ObjectPool {
 public:
  explicit ObjectPool(ByteSpan memory) : memory_(memory) {}

  /// Copies `value` to where `extents`, of its size, say.
  void write(const Extents& extents, std::string_view value);
  /// The bytes at `extents`, appended to `out`.
  void read(const Extents& extents, std::string& out) const;
  [[nodiscard]] std::uint32_t crc32c_of(const Extents& extents) const;

  /// Adds the requests that move an object between its extents here and the start of a peer's `segment`.
  void add_requests(transfer::TransferRequest::Op op, const Extents& extents, transfer::SegmentHandle segment,
                    std::vector<transfer::TransferRequest>& requests) const;

 private:
  [[nodiscard]] ByteSpan at(const Extent& extent) const;

  ByteSpan memory_;
};

}  // namespace mooncake::store
