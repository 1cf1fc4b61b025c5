#include "transfer/rdma/registration_cache.h"

#include <fmt/format.h>

#include <cerrno>

#include "base/log.h"
#include "transfer/fd.h"

namespace mooncake::transfer {

Result<RegistrationPtr> RegistrationCache::get(const AreaKey& key, ByteSpan memory, Instant now) {
  const auto found = entries_.find(key);
  if (found != entries_.end() && found->second.registration) return found->second.registration;
  if (found != entries_.end() && now < found->second.retry_at) return found->second.failure;
  if (found == entries_.end() && entries_.size() >= kRegistrationsMax) {
    return Status(Code::kExhausted,
                  fmt::format("{} areas are registered with an RDMA device, the most there can be", kRegistrationsMax));
  }
  Result<RegistrationPtr> added = add(memory);
  if (added.ok()) {
    entries_[key] = {.registration = *added, .failure = {}};
  } else {
    log_warn("transfer: {}; it moves by other means", added.status().message());
    entries_[key] = {.registration = nullptr, .failure = added.status(), .retry_at = now + kRegistrationRetry};
  }
  return added;
}

Result<RegistrationPtr> RegistrationCache::add(ByteSpan memory) const {
  // Not by its plain name: <infiniband/verbs.h> makes a macro of that, which needs a symbol.
  ibv_mr* region = (verbs_.reg_mr)(domain_, memory.data(), memory.size(), access_);
  if (region != nullptr) return RegistrationPtr(std::make_shared<Registration>(verbs_, region));
  const int error = errno;
  const bool limit = error == ENOMEM || error == EPERM;
  return Status(limit ? Code::kExhausted : Code::kUnavailable,
                fmt::format("an RDMA device cannot register {} bytes: {}{}", memory.size(), errno_text(error),
                            limit ? "; is the limit of locked memory (ulimit -l) too low?" : ""));
}

}  // namespace mooncake::transfer
