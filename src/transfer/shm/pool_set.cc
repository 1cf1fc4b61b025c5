#include "transfer/shm/pool_set.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace mooncake::transfer {
namespace {

Status exhausted(std::string_view what) {
  return {Code::kExhausted, fmt::format("shared memory: {}: {}", what, errno_text(errno))};
}

}  // namespace

PoolSet::~PoolSet() {
  MutexLock lock(mutex_);
  for (auto& [id, pool] : pools_) ::munmap(pool.memory.data(), pool.memory.size());
}

Result<ByteSpan> PoolSet::allocate(std::size_t bytes) {
  if (bytes == 0) return Status(Code::kInvalidArgument, "shared memory: 0 bytes asked for");
  UniqueFd fd(::memfd_create("mooncake-pool", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return exhausted("memfd_create");
  if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) return exhausted(fmt::format("{} bytes", bytes));
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return exhausted("sealing");
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
  if (at == MAP_FAILED) return exhausted(fmt::format("mapping {} bytes", bytes));
  const ByteSpan memory(static_cast<std::byte*>(at), bytes);
  MutexLock lock(mutex_);
  if (pools_.size() >= kPoolsMax) {
    ::munmap(at, bytes);
    return Status(Code::kExhausted, fmt::format("{} shared pools exist, the most there can be", kPoolsMax));
  }
  pools_.emplace(++last_, Pool{std::move(fd), memory});
  return memory;
}

std::uint64_t PoolSet::free(ByteSpan memory) {
  MutexLock lock(mutex_);
  for (auto pool = pools_.begin(); pool != pools_.end(); ++pool) {
    if (pool->second.memory.data() != memory.data()) continue;
    const std::uint64_t id = pool->first;
    ::munmap(pool->second.memory.data(), pool->second.memory.size());
    pools_.erase(pool);
    return id;
  }
  return 0;
}

std::optional<PoolSet::Place> PoolSet::find(ConstByteSpan memory) const {
  MutexLock lock(mutex_);
  const auto begin = reinterpret_cast<std::uintptr_t>(memory.data());
  for (const auto& [id, pool] : pools_) {
    const auto pool_begin = reinterpret_cast<std::uintptr_t>(pool.memory.data());
    if (begin >= pool_begin && begin - pool_begin <= pool.memory.size() &&
        memory.size() <= pool.memory.size() - (begin - pool_begin)) {
      return Place{id, begin - pool_begin, pool.memory};
    }
  }
  return std::nullopt;
}

Result<UniqueFd> PoolSet::open_for_peer(std::uint64_t pool, std::uint64_t& bytes) const {
  MutexLock lock(mutex_);
  const auto found = pools_.find(pool);
  if (found == pools_.end()) return Status(Code::kNotFound, "the shared pool was freed");
  bytes = found->second.memory.size();
  const std::string path = fmt::format("/proc/self/fd/{}", found->second.fd.get());
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return exhausted("a descriptor for a peer");
  return fd;
}

}  // namespace mooncake::transfer
