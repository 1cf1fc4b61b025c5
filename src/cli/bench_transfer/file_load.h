// A file, read or written as fio does it (fio.h): block after block, so many in flight, for a fixed time.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "base/time.h"
#include "cli/bench_transfer/bulk_load.h"
#include "cli/bench_transfer/load_result.h"
#include "cli/transfer/transfer_client.h"

namespace mooncake::cli {

inline constexpr std::uint64_t kFileBlockBytes = 1 << 20;
inline constexpr std::uint32_t kFileDepth = 16;

/// Moves the file's blocks in their order, from the first again after the last. Each is a batch of its own; kFileDepth
/// are in flight, the next one from the callback of one before.
/// @return the engine's first failure. CHECK-fails if local memory has no block for each in flight, or the file has
/// none.
Result<LoadResult> run_file(TransferClient& client, transfer::TransferRequest::Op op, Nanos duration);

}  // namespace mooncake::cli
