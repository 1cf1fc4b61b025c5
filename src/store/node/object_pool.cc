#include "store/node/object_pool.h"

#include <cstring>

#include "base/check.h"
#include "base/crc32c.h"

namespace mooncake::store {

void ObjectPool::write(const Extents& extents, std::string_view value) {
  for (const Extent& extent : extents) {
    CHECK(extent.bytes <= value.size());
    std::memcpy(at(extent).data(), value.data(), extent.bytes);
    value.remove_prefix(extent.bytes);
  }
  CHECK(value.empty());
}

void ObjectPool::read(const Extents& extents, std::string& out) const {
  for (const Extent& extent : extents) {
    const ByteSpan bytes = at(extent);
    out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
}

std::uint32_t ObjectPool::crc32c_of(const Extents& extents) const {
  std::uint32_t crc = 0;
  for (const Extent& extent : extents) crc = crc32c(at(extent), crc);
  return crc;
}

void ObjectPool::add_requests(transfer::TransferRequest::Op op, const Extents& extents, transfer::SegmentHandle segment,
                              std::vector<transfer::TransferRequest>& requests) const {
  std::uint64_t offset = 0;
  for (const Extent& extent : extents) {
    requests.push_back({op, at(extent), segment, offset});
    offset += extent.bytes;
  }
}

ByteSpan ObjectPool::at(const Extent& extent) const {
  CHECK(extent.offset + extent.bytes <= memory_.size());
  return memory_.subspan(extent.offset, extent.bytes);
}

}  // namespace mooncake::store
