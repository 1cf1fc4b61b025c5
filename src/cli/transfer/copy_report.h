// One copy between this process and a peer's segment, as `mooncake transfer read` and `write` do it.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "cli/transfer/transfer_client.h"

namespace mooncake::cli {

/// Both commands move at most so long: 1 TiB at 300 MB/s.
inline constexpr Seconds kCopyWait{3600};

/// That `length` bytes at `offset` lie in the segment, before as much memory is allocated here.
/// @return kInvalidArgument for 0 bytes, kOutOfRange; the message names the flags.
Status check_range(const SegmentDescription& segment, std::uint64_t offset, std::uint64_t length);

/// Moves all of the client's local memory and prints what moved, how, and how fast. Writes a trace of it to the file
/// `trace`, if that is not empty. @return as TransferClient::move(), or TraceFile::write().
Status copy_and_report(TransferClient& client, transfer::TransferRequest::Op op, std::uint64_t offset,
                       const std::string& trace);

}  // namespace mooncake::cli
