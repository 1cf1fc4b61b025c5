// What shm is compared with: memcpy between two memfds, of the same blocks by as many threads.
#pragma once

#include "base/status.h"
#include "base/time.h"
#include "cli/bench_transfer/bulk_load.h"
#include "cli/bench_transfer/load_result.h"

namespace mooncake::cli {

/// Copies every block of `shape` once unmeasured, then for `duration`. Which side is written does not matter here.
/// @return kExhausted if there is not so much shared memory.
Result<LoadResult> run_memcpy(const BulkShape& shape, Nanos duration);

}  // namespace mooncake::cli
