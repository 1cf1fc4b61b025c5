#include "transfer/shm/mapped_pool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

namespace mooncake::transfer {

Result<std::shared_ptr<const MappedPool>> MappedPool::map(UniqueFd fd, std::uint64_t bytes) {
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
    return Status(Code::kCorrupt, "a shared pool must be a memfd that is sealed against shrinking");
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0 || bytes == 0 || static_cast<std::uint64_t>(info.st_size) < bytes) {
    return Status(Code::kCorrupt, fmt::format("a shared pool of {} bytes was announced with {}", info.st_size, bytes));
  }
  void* at = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
  if (at == MAP_FAILED) return Status(Code::kExhausted, fmt::format("cannot map a shared pool: {}", errno_text(errno)));
  return std::shared_ptr<const MappedPool>(new MappedPool({static_cast<const std::byte*>(at), bytes}));
}

MappedPool::~MappedPool() { ::munmap(const_cast<std::byte*>(memory_.data()), memory_.size()); }

const std::byte* MappedPool::at(std::uint64_t offset, std::uint64_t length) const {
  if (offset > memory_.size() || length > memory_.size() - offset) return nullptr;
  return memory_.data() + offset;
}

}  // namespace mooncake::transfer
