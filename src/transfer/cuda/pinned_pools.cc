#include "transfer/cuda/pinned_pools.h"

#include <fmt/format.h>

#include "base/log.h"

namespace mooncake::transfer {

PinnedPools::~PinnedPools() {
  const CudaScope scope(driver_, context_);
  MutexLock lock(mutex_);
  for (const auto& [pool, pin] : pins_) {
    if (pin.memory != nullptr) static_cast<void>(driver_.MemHostUnregister(pin.memory));
  }
}

bool PinnedPools::pin(ConstByteSpan memory, Instant now) {
  const auto place = pools_.find(memory);
  if (!place.has_value()) return false;
  MutexLock lock(mutex_);
  Pin& pin = pins_[place->pool];
  if (pin.memory != nullptr) return true;
  if (now < pin.retry_at) return false;
  const CudaScope scope(driver_, context_);
  const CudaResult error =
      driver_.MemHostRegister(place->memory.data(), place->memory.size(), kCudaHostRegisterPortable);
  if (error == CudaResult::kSuccess) {
    pin.memory = place->memory.data();
    return true;
  }
  pin.retry_at = now + kPinRetry;
  const Status why = cuda_error(driver_, error, fmt::format("pinning a pool of {} bytes", place->memory.size()));
  log_warn("transfer: {}; its bytes take a detour (is the limit of locked memory, ulimit -l, too low?)", why.message());
  return false;
}

void PinnedPools::unpin(ConstByteSpan pool) {
  const auto place = pools_.find(pool);
  if (!place.has_value()) return;
  MutexLock lock(mutex_);
  const auto found = pins_.find(place->pool);
  if (found == pins_.end()) return;
  if (found->second.memory != nullptr) {
    const CudaScope scope(driver_, context_);
    static_cast<void>(driver_.MemHostUnregister(found->second.memory));
  }
  pins_.erase(found);
}

}  // namespace mooncake::transfer
