// Whose memory a pointer is: this host's, or a device's. Thread-safe.
#pragma once

#include <optional>

#include "base/bytes.h"
#include "base/status.h"
#include "transfer/cuda/cuda_driver.h"
#include "transfer/transfer_engine.h"

namespace mooncake::transfer {

/// The number of the device in whose memory it lies (managed memory included); nothing if it is the host's.
std::optional<int> device_of(const CudaDriver& driver, const void* pointer);

/// Whether all of `memory`, by its ends, is of that kind. Asks only a driver that this process uses already.
/// @return kInvalidArgument if not; kCuda needs a driver that is loaded.
Status check_kind(ConstByteSpan memory, MemoryKind kind);

}  // namespace mooncake::transfer
