// Batches of reads or writes between a client and its peer's segment, for a fixed time.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "base/time.h"
#include "cli/bench_transfer/load_result.h"
#include "cli/transfer/transfer_client.h"

namespace mooncake::cli {

struct BulkShape {
  transfer::TransferRequest::Op op = transfer::TransferRequest::Op::kRead;
  std::uint64_t block_bytes = 0;
  std::uint32_t batch = 1;    ///< requests that each thread keeps in flight, as one batch
  std::uint32_t threads = 1;  ///< that submit; a single one does so from the callback of the batch before

  /// Every request has a block of its own, at both sides.
  [[nodiscard]] std::uint64_t bytes() const { return block_bytes * batch * threads; }
};

/// "read" or "write".
std::string_view op_name(transfer::TransferRequest::Op op);

/// Moves every block once unmeasured, so that its pages are there, then for `duration`.
/// @return the engine's first failure. CHECK-fails if local memory or the peer's segment is smaller than shape.bytes().
Result<LoadResult> run_bulk(TransferClient& client, const BulkShape& shape, Nanos duration);

}  // namespace mooncake::cli
