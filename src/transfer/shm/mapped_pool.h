// MappedPool: a peer's shared pool, mapped here for reading.
#pragma once

#include <memory>

#include "base/bytes.h"
#include "base/status.h"
#include "transfer/fd.h"

namespace mooncake::transfer {

class MappedPool {
 public:
  /// Maps what a peer passed. @return kCorrupt if it is no memfd that is sealed against shrinking (then a peer could
  /// make our reads fault) or has not `bytes`; kExhausted if it cannot be mapped.
  static Result<std::shared_ptr<const MappedPool>> map(UniqueFd fd, std::uint64_t bytes);
  ~MappedPool();
  MappedPool(const MappedPool&) = delete;
  MappedPool& operator=(const MappedPool&) = delete;

  /// @return null if the range does not lie in the pool.
  [[nodiscard]] const std::byte* at(std::uint64_t offset, std::uint64_t length) const;

 private:
  explicit MappedPool(ConstByteSpan memory) : memory_(memory) {}

  ConstByteSpan memory_;
};

}  // namespace mooncake::transfer
