// prefetch_line: the CPU starts to load a cache line while other work goes on.
#pragma once

namespace mooncake::kvcache {

/// Starts to load the cache line at `address`, which need not be readable. Thread-safe.
inline void prefetch_line(const void* address) {
  __builtin_prefetch(address);
  // GCC 12 takes a function that does nothing but prefetch for one without effect, and drops calls of it.
  asm volatile("");
}

}  // namespace mooncake::kvcache
