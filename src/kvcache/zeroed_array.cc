#include "kvcache/zeroed_array.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace mooncake::kvcache {
namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

constexpr std::size_t round_up(std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; }

// Maps one huge page more than is wanted, so that an aligned range is in it, and gives back what lies beside that.
void* map_huge(std::size_t bytes) {
  const std::size_t mapped = bytes + kHugePage;
  void* const start = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) throw std::bad_alloc();
  auto* const first = static_cast<std::byte*>(start);
  const std::size_t before =
      round_up(reinterpret_cast<std::uintptr_t>(first), kHugePage) - reinterpret_cast<std::uintptr_t>(first);
  if (before > 0) (void)::munmap(first, before);
  if (before < kHugePage) (void)::munmap(first + before + bytes, kHugePage - before);
  (void)::madvise(first + before, bytes, MADV_HUGEPAGE);  // a system without them is slower, no more
  return first + before;
}

}  // namespace

void* allocate_zeroed(std::size_t bytes) {
  if (bytes >= kHugePage) return map_huge(round_up(bytes, kHugePage));
  const std::size_t lines = round_up(bytes, kCacheLine);
  void* const memory = std::aligned_alloc(kCacheLine, lines);
  if (memory == nullptr) throw std::bad_alloc();
  return std::memset(memory, 0, lines);
}

void free_zeroed(void* memory, std::size_t bytes) {
  if (bytes >= kHugePage) {
    (void)::munmap(memory, round_up(bytes, kHugePage));
  } else {
    std::free(memory);
  }
}

}  // namespace mooncake::kvcache
