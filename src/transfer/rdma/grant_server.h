// GrantServer: lets one peer read and write ranges of this engine's segments over RDMA, one operation a grant.
//
//   grant       the range is checked and held, a memory window bound to it -> granted {address, key, ticket}
//   ticket      comes as immediate data when the operation is over, behind its last byte: the window is invalidated,
//               then the segment let go of. After a write: -> done(ok), since the bytes are in place and visible here
//   revoke      the window is invalidated, then the segment let go of -> done(kStale). What comes later is refused by
//               the device, so the opener ends the endpoint if its operation was posted
//   close       the opener lost the endpoint, or it broke here: the queue pair is destroyed, and with it every window;
//               each grant that was not over -> done: kStale if it had been revoked, else kUnavailable: try again
//
// Without windows (has_windows()), and for memory of a GPU (Registration::takes_windows()), the key is that of all of
// the registered memory, and a revocation destroys the queue pair: nothing less stops the peer. After a write to a GPU
// its owner is told of done when the GPU sees the bytes (Registration::settle()).
//
// A peer that is told of done, or whose endpoint is closed, touches the range no more. Loop thread only.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <functional>
#include <memory>
#include <string>

#include "transfer/context.h"
#include "transfer/rdma/rdma_host.h"
#include "transfer/rdma/served_endpoint.h"
#include "transfer/stats/rail_counters.h"

namespace mooncake::transfer {

/// Endpoints that one peer may have open here: each of 8 ports with each of ours.
inline constexpr std::size_t kEndpointsServedMax = 64;

class GrantServer {
 public:
  /// Sends a frame of kind rdma to the peer; `flags` as in FrameHeader.
  using Send = std::function<void(RdmaFrame, std::uint64_t id, Code, std::string payload, std::uint16_t flags)>;

  /// `handle` is the peer, `peer` its name in statistics.
  GrantServer(Context& context, RdmaHost& host, PeerHandle handle, std::string peer, Send send);

  /// Frames of the opener. A failure is a reason to end the connection.
  Status on_open(std::uint64_t endpoint, ConstByteSpan payload);
  Status on_close(std::uint64_t endpoint);
  Status on_grant(std::uint64_t slice, bool write, ConstByteSpan payload);

  /// Stops the peer from touching the segment, and lets go of it as soon as the devices have.
  void revoke(SegmentHandle segment);
  /// Ends the endpoints on ports that are down.
  void on_ports_changed();
  /// Ends every endpoint without a word.
  void close();

 private:
  ServedEndpoint::Hooks hooks(std::uint64_t endpoint, std::size_t port);
  void refuse(std::uint64_t endpoint, const Status& why);
  void end(std::uint64_t endpoint);
  void say_done(std::uint64_t slice, const Status& status, bool other_transport);

  Context& context_;
  RdmaHost& host_;
  const PeerHandle handle_;
  const std::string peer_;
  RailCounters counters_;  // by port of ours
  Send send_;
  absl::flat_hash_map<std::uint64_t, std::unique_ptr<ServedEndpoint>> served_;
};

}  // namespace mooncake::transfer
