#include "cli/transfer/copy_report.h"

#include <fmt/core.h>

#include <chrono>

#include "cli/transfer/trace_file.h"

namespace mooncake::cli {

Status check_range(const SegmentDescription& segment, std::uint64_t offset, std::uint64_t length) {
  if (length == 0) return {Code::kInvalidArgument, "there are no bytes to move: --length or the file is 0 bytes long"};
  if (offset <= segment.bytes && length <= segment.bytes - offset) return {};
  return {Code::kOutOfRange, fmt::format("--offset {} and {} bytes from there do not lie in the peer's segment of {} "
                                         "bytes",
                                         offset, length, segment.bytes)};
}

Status copy_and_report(TransferClient& client, transfer::TransferRequest::Op op, std::uint64_t offset,
                       const std::string& trace) {
  TraceFile file;
  const SteadyClock clock;
  Status moved;
  double seconds = 0;
  {
    const TraceScope scope(trace.empty() ? nullptr : &file, client.engine());
    const Instant start = clock.now();
    moved = client.move(op, offset, start + kCopyWait);
    seconds = std::chrono::duration<double>(clock.now() - start).count();
  }
  MC_RETURN_IF_ERROR(file.write(trace));  // what failed is what one wants to see
  MC_RETURN_IF_ERROR(moved);
  const bool read = op == transfer::TransferRequest::Op::kRead;
  const std::size_t bytes = client.local().size();
  fmt::print("{} {} bytes at offset {} by {} in {:.3f} ms: {:.3f} GB/s\n", read ? "read" : "wrote", bytes, offset,
             client.transport(), seconds * 1e3, static_cast<double>(bytes) / seconds / 1e9);
  return {};
}

}  // namespace mooncake::cli
