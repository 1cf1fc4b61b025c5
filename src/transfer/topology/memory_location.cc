#include "transfer/topology/memory_location.h"

#include <fmt/format.h>

namespace mooncake::transfer {

std::string MemoryLocation::name() const {
  if (kind == Kind::kUnknown) return {};
  return fmt::format("{}:{}", kind == Kind::kCpu ? "cpu" : "cuda", number);
}

}  // namespace mooncake::transfer
