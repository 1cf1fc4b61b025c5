// The sweep of `mooncake bench transfer` and `mooncake transfer bench`: every combination of transport, block size,
// batch, threads and direction, each for the same time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "cli/bench_transfer/bulk_load.h"

namespace mooncake::cli {

/// All lists in the order in which they are swept.
struct SweepPlan {
  std::vector<std::string> transports;  ///< of "mem", "shm", "tcp", "file", "cuda"
  std::vector<std::uint64_t> block_bytes;
  std::vector<std::uint64_t> batches;
  std::vector<std::uint64_t> threads;
  Nanos cell{};  ///< how long each combination is measured

  [[nodiscard]] std::vector<BulkShape> shapes() const;
  /// What the largest of the shapes needs at each side.
  [[nodiscard]] std::uint64_t bytes_max() const;
};

/// One combination, and what it gave.
struct SweepCell {
  std::string transport;
  BulkShape shape;
  LoadResult result;
};

/// Measures every shape between `client` and its peer, and calls `progress` before each. @return the first failure;
/// kUnavailable if the bytes went by another transport than `transport`.
Result<std::vector<SweepCell>> run_sweep(TransferClient& client, const std::string& transport, const SweepPlan& plan,
                                         const std::function<void(std::string_view what)>& progress);

/// The cells as lines of text, in columns.
std::string sweep_table(const std::vector<SweepCell>& cells);

}  // namespace mooncake::cli
