// What an engine has counted since it began, as its users see it. What the fields mean as metrics: docs/transfer.md.
#pragma once

#include <cstdint>
#include <string>

#include "transfer/stats/latency.h"

namespace mooncake::transfer {

/// Bulk on one path to one peer. Both ends of a path agree on the bytes once it is quiet.
struct TransferStats {
  std::string transport;  ///< "mem", "shm", "rdma", "tcp", "file" or "cuda"
  std::string peer;       ///< node name from the peer's hello; of "mem", "file" and "cuda" this engine's own
  /// tcp: "0", "1"; the place of this engine's endpoint in `listen`, `rails`. rdma: this engine's port, "mlx5_0:1".
  /// Else empty.
  std::string rail;
  std::uint64_t bytes_sent = 0;        ///< bulk payload that left this engine's segments for that peer
  std::uint64_t bytes_received = 0;    ///< bulk payload that arrived in this engine's segments from that peer
  std::uint64_t slices_read = 0;       ///< for batches of this engine, and in place
  std::uint64_t slices_written = 0;    ///< for batches of this engine, and in place
  std::uint64_t slices_served = 0;     ///< for batches of the peer, read or written
  std::uint64_t slices_failed = 0;     ///< for batches of this engine: refused by the peer, or lost with it
  std::uint64_t slices_retried = 0;    ///< begun again: their connection, or their transport, was lost
  std::uint64_t connections_lost = 0;  ///< while the peer lived on
  /// Of slices_read and slices_written: from when the slice was given to the path, so waiting there counts.
  LatencyCounts slice_latency;
};

/// Batches of this engine towards one peer. A batch that took several transports counts for the last.
struct BatchStats {
  std::string transport;
  std::string peer;
  std::uint64_t batches_failed = 0;  ///< cancelled ones too
  LatencyCounts latency;             ///< of those that succeeded: submit() to the end
};

/// Messages to and from one peer, by what they went by first; a call's answer may take another way.
struct CallStats {
  std::string transport;  ///< "tcp", "rdma", or "mem" within this engine
  std::string peer;
  std::uint64_t calls_received = 0;  ///< that the peer made
  std::uint64_t calls_failed = 0;    ///< of this engine: no answer, or a failure
  LatencyCounts latency;             ///< of the others: until the answer came
};

}  // namespace mooncake::transfer
