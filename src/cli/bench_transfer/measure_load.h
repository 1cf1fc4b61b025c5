// What a run of operations took, in time and in CPU time.
#pragma once

#include <cstdint>
#include <functional>

#include "base/status.h"
#include "cli/bench_transfer/chains.h"
#include "cli/bench_transfer/load_result.h"
#include "cli/transfer/transfer_client.h"

namespace mooncake::cli {

/// Calls `run`, and asks before and after it for the CPU time that the client and its peer have used. Each latency that
/// `run` saw is of `operations` operations of `bytes` bytes each. @return the failure of `run`, or of asking.
Result<LoadResult> measure_load(TransferClient& client, std::uint64_t bytes, std::uint32_t operations,
                                const std::function<Result<Chains::Seen>()>& run);

}  // namespace mooncake::cli
