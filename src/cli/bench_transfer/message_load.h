// Calls of the peer's echo, for a fixed time.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "base/time.h"
#include "cli/bench_transfer/load_result.h"
#include "cli/transfer/transfer_client.h"

namespace mooncake::cli {

/// Keeps `in_flight` calls of `bytes` each in flight, the next one from the callback of the one before.
/// @return the first call's failure; kCorrupt if an answer has not as many bytes as its question.
Result<LoadResult> run_messages(TransferClient& client, std::uint64_t bytes, std::uint32_t in_flight, Nanos duration);

}  // namespace mooncake::cli
