#include "cli/bench_transfer/sweep.h"

#include <fmt/core.h>

#include <algorithm>

#include "cli/bench_stats.h"

namespace mooncake::cli {

using transfer::TransferRequest;

std::vector<BulkShape> SweepPlan::shapes() const {
  std::vector<BulkShape> all;
  for (const std::uint64_t block : block_bytes) {
    for (const std::uint64_t batch : batches) {
      for (const std::uint64_t count : threads) {
        for (const auto op : {TransferRequest::Op::kRead, TransferRequest::Op::kWrite}) {
          all.push_back({.op = op,
                         .block_bytes = block,
                         .batch = static_cast<std::uint32_t>(batch),
                         .threads = static_cast<std::uint32_t>(count)});
        }
      }
    }
  }
  return all;
}

std::uint64_t SweepPlan::bytes_max() const {
  std::uint64_t most = 0;
  for (const BulkShape& shape : shapes()) most = std::max(most, shape.bytes());
  return most;
}

Result<std::vector<SweepCell>> run_sweep(TransferClient& client, const std::string& transport, const SweepPlan& plan,
                                         const std::function<void(std::string_view)>& progress) {
  std::vector<SweepCell> cells;
  for (const BulkShape& shape : plan.shapes()) {
    progress(
        fmt::format("{} {} {} x {} x {}", transport, op_name(shape.op), shape.block_bytes, shape.batch, shape.threads));
    MC_ASSIGN_OR_RETURN(LoadResult result, run_bulk(client, shape, plan.cell));
    if (const std::string used = client.transport(); used != transport) {
      return Status(Code::kUnavailable, fmt::format("bytes to the peer go by {}, not by {}", used, transport));
    }
    cells.push_back({.transport = transport, .shape = shape, .result = std::move(result)});
  }
  return cells;
}

std::string sweep_table(const std::vector<SweepCell>& cells) {
  std::string text = fmt::format("  {:<9} {:<5} {:>10} {:>5} {:>7} {:>9} {:>10} {:>10} {:>10} {:>9}\n", "transport",
                                 "op", "block", "batch", "threads", "GB/s", "ops/s", "p50 us", "p99 us", "CPU s/GB");
  for (const SweepCell& cell : cells) {
    text += fmt::format("  {:<9} {:<5} {:>10} {:>5} {:>7} {:>9.3f} {:>10.0f} {:>10.1f} {:>10.1f} {:>9.3f}\n",
                        cell.transport, op_name(cell.shape.op), cell.shape.block_bytes, cell.shape.batch,
                        cell.shape.threads, cell.result.gb_per_s(), cell.result.operations_per_s(),
                        percentile(cell.result.latency_us, 50), percentile(cell.result.latency_us, 99),
                        cell.result.cpu_s_per_gb());
  }
  return text;
}

}  // namespace mooncake::cli
