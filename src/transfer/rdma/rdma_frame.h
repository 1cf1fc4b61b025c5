// What two RDMA transports say to each other, in frames of kind rdma, which travel as messages do. Pure; no I/O.
//
// The frame's argument is: bits 0-7 RdmaFrame, bits 8-15 Code (broken, done, lane_refused), the rest 0. Payloads,
// little-endian:
//
//   port     16 bytes gid, u16 lid, u8 mtu (1 to 5: 256 to 4096 bytes), u8 link (1 InfiniBand, 2 Ethernet), u8 up,
//            3 bytes zero
//   end      port, u32 queue pair number, u32 first packet sequence number, u8 reads at once, 3 bytes zero
//
//   ports    1 to kRdmaPortsMax ports; again with the same count whenever one of them goes up or down
//   open     end of the opener, u32 port of the peer by its place in its ports; request id = endpoint, which the opener
//            names. Answered by opened, or broken
//   opened   end of the peer, of the same mtu and reads as the opener shall use
//   close    the opener will not use the endpoint any more; each grant on it that is not over is answered by done
//   broken   text: why the peer's end is over; the opener closes
//   grant    u64 endpoint, range (frame.h); request id = slice. Answered by granted, or done
//   granted  u64 address, u32 key, u32 ticket: what the opener may now read, or write, with one operation on the
//            endpoint, which it ends by sending the ticket as immediate data
//   done     text: how a grant ended; see grant_server.h
//
// To peers whose hello has kFeatureMessageLanes only; see message_lane.h:
//
//   open_lane     as open; request id = lane, which the opener draws at random. Answered by one of the next two
//   lane_opened   as opened
//   lane_refused  text: why there is none
//   turn          empty: what follows comes by the lane. Answered at once by ack (frame.h)
//
// Every function here is total: any bytes give a value or a Status, and none reads outside what it was given.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "transfer/frame.h"

namespace mooncake::transfer {

enum class RdmaFrame : std::uint8_t {
  kPorts = 1,
  kOpen = 2,
  kOpened = 3,
  kClose = 4,
  kBroken = 5,
  kGrantRead = 6,
  kGrantWrite = 7,
  kGranted = 8,
  kDone = 9,
  kOpenLane = 10,
  kLaneOpened = 11,
  kLaneRefused = 12,
  kTurn = 13,
};
inline constexpr std::uint8_t kRdmaFrameLast = 13;

/// Ports of one engine: the largest servers have 8 for the GPUs and a few more.
inline constexpr std::size_t kRdmaPortsMax = 16;

/// How a port is reached.
struct RdmaAddress {
  std::array<std::byte, 16> gid{};
  std::uint16_t lid = 0;    ///< InfiniBand only
  std::uint8_t mtu = 1;     ///< as ibv_mtu
  bool infiniband = false;  ///< else Ethernet (RoCE)
  bool up = false;
  bool operator==(const RdmaAddress&) const = default;
};

/// One end of a pair of queue pairs.
struct RdmaEnd {
  RdmaAddress address;
  std::uint32_t queue_pair = 0;
  std::uint32_t packet_sequence = 0;  ///< of the first packet it sends
  std::uint8_t reads_at_once = 1;
  bool operator==(const RdmaEnd&) const = default;
};

struct RdmaOpen {
  RdmaEnd opener;
  std::uint32_t port = 0;
  bool operator==(const RdmaOpen&) const = default;
};

struct RdmaGrant {
  BulkRange range;
  std::uint64_t endpoint = 0;
  bool operator==(const RdmaGrant&) const = default;
};

/// What one operation may touch.
struct RdmaGranted {
  std::uint64_t address = 0;
  std::uint32_t key = 0;
  std::uint32_t ticket = 0;
  bool operator==(const RdmaGranted&) const = default;
};

/// The frame's argument.
std::uint32_t rdma_argument(RdmaFrame frame, Code code = Code::kOk);
/// @return kCorrupt for a frame that this version does not know.
Result<RdmaFrame> decode_rdma_frame(std::uint32_t argument);
/// The Status that a broken, done or lane_refused frame carries.
Status decode_rdma_status(std::uint32_t argument, std::string_view text);

std::string encode_rdma_ports(const std::vector<RdmaAddress>& ports);
std::string encode_rdma_open(const RdmaOpen& open);
std::string encode_rdma_end(const RdmaEnd& end);
std::string encode_rdma_grant(const RdmaGrant& grant);
std::string encode_rdma_granted(const RdmaGranted& granted);

/// Each @return kCorrupt for a wrong size, or for values that cannot be.
Result<std::vector<RdmaAddress>> decode_rdma_ports(ConstByteSpan bytes);
Result<RdmaOpen> decode_rdma_open(ConstByteSpan bytes);
Result<RdmaEnd> decode_rdma_end(ConstByteSpan bytes);
Result<RdmaGrant> decode_rdma_grant(ConstByteSpan bytes);
Result<RdmaGranted> decode_rdma_granted(ConstByteSpan bytes);

}  // namespace mooncake::transfer
