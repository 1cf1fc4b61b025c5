#include "transfer/rdma/registration_cache.h"

#include <fmt/format.h>

#include <cerrno>

#include "base/log.h"
#include "transfer/fd.h"

namespace mooncake::transfer {
namespace {

int access_of(RemoteRight right) {
  switch (right) {
    case RemoteRight::kNone:
      break;
    case RemoteRight::kRead:
      return IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ;
    case RemoteRight::kWrite:
      return IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
  }
  return IBV_ACCESS_LOCAL_WRITE;
}

}  // namespace

Result<RegistrationPtr> RegistrationCache::get(const AreaKey& key, ByteSpan memory, Instant now) {
  return get({key, RemoteRight::kNone}, memory, now, &RegistrationCache::add_host);
}

Result<RegistrationPtr> RegistrationCache::get_gpu(const AreaKey& key, ByteSpan memory, RemoteRight right,
                                                   Instant now) {
  return get({key, right}, memory, now, &RegistrationCache::add_gpu);
}

Result<RegistrationPtr> RegistrationCache::get(const EntryKey& key, ByteSpan memory, Instant now, Add add) {
  const auto found = entries_.find(key);
  if (found != entries_.end() && found->second.registration) return found->second.registration;
  if (found != entries_.end() && now < found->second.retry_at) return found->second.failure;
  if (found == entries_.end() && entries_.size() >= kRegistrationsMax) {
    return Status(Code::kExhausted,
                  fmt::format("{} areas are registered with an RDMA device, the most there can be", kRegistrationsMax));
  }
  Result<RegistrationPtr> added = (this->*add)(memory, key.second);
  if (added.ok()) {
    entries_[key] = {.registration = *added, .failure = {}};
  } else {
    if (found == entries_.end() || found->second.failure.message() != added.status().message()) tell(added.status());
    const bool final = added.status().code() == Code::kUnsupported;
    entries_[key] = {.registration = nullptr,
                     .failure = added.status(),
                     .retry_at = final ? Instant::max() : now + kRegistrationRetry};
  }
  return added;
}

/// What the machine cannot do is said once, not for each of its buffers.
void RegistrationCache::tell(const Status& failure) {
  const bool again = failure.code() == Code::kUnsupported && std::exchange(told_unsupported_, true);
  if (!again) log_warn("transfer: {}; it moves by other means", failure.message());
}

Result<RegistrationPtr> RegistrationCache::add_host(ByteSpan memory, RemoteRight /*right*/) const {
  // Not by its plain name: <infiniband/verbs.h> makes a macro of that, which needs a symbol.
  ibv_mr* region = (verbs_.reg_mr)(domain_, memory.data(), memory.size(), access_);
  if (region != nullptr) return RegistrationPtr(std::make_shared<Registration>(verbs_, region));
  const int error = errno;
  const bool limit = error == ENOMEM || error == EPERM;
  return Status(limit ? Code::kExhausted : Code::kUnavailable,
                fmt::format("an RDMA device cannot register {} bytes: {}{}", memory.size(), errno_text(error),
                            limit ? "; is the limit of locked memory (ulimit -l) too low?" : ""));
}

Result<RegistrationPtr> RegistrationCache::add_gpu(ByteSpan memory, RemoteRight right) const {
  const CudaDriver* driver = find_cuda_driver();
  CHECK(driver != nullptr);  // the segment is of it
  if (verbs_.reg_dmabuf_mr == nullptr) return Status(Code::kUnsupported, "rdma: libibverbs.so.1 knows no dma-buf");
  MC_ASSIGN_OR_RETURN(DirectMemory gpu, DirectMemory::create(*driver, memory));
  ibv_mr* region = (verbs_.reg_dmabuf_mr)(domain_, gpu.offset(), memory.size(), cuda_address(memory.data()), gpu.fd(),
                                          access_of(right));
  const int error = errno;
  gpu.close_fd();
  if (region != nullptr) return RegistrationPtr(std::make_shared<Registration>(verbs_, region, std::move(gpu)));
  const bool never = error == EOPNOTSUPP || error == ENOTSUP || error == EPROTONOSUPPORT || error == ENOTTY;
  return Status(never ? Code::kUnsupported : Code::kUnavailable,
                fmt::format("an RDMA device cannot register {} bytes of a GPU: {}", memory.size(), errno_text(error)));
}

void RegistrationCache::drop(const AreaKey& key) {
  for (const RemoteRight right : {RemoteRight::kNone, RemoteRight::kRead, RemoteRight::kWrite}) {
    entries_.erase(EntryKey{key, right});
  }
}

}  // namespace mooncake::transfer
