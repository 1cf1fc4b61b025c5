// Frames: what two TransferEngines say to each other over a stream socket. Pure encoding and decoding; no I/O.
//
// A frame is a header of 32 bytes and `length` bytes of payload. Header, little-endian:
//
//    0  u32  magic       0x4654434d, "MCTF" in memory order
//    4  u8   version     of the protocol, as the hello exchange agreed
//    5  u8   kind        FrameKind
//    6  u16  flags       kFlag...; unknown bits are refused
//    8  u64  request id  chosen by the asking side, echoed by the answer; 0 where nothing is asked
//   16  u64  length      payload bytes that follow, at most payload_bytes_max(kind)
//   24  u32  argument    method (call, notify), Code (reply, done, close), else 0
//   28  u32  crc32c      of bytes 0 to 27
//
// With AuthMode::kMac every frame after a side's proof is sealed: 16 bytes follow its header, before the payload:
//
//   32  16 bytes  MAC    FrameMac of the sender's key and the frame's number, from 0, on this connection. It covers the
//                        header and the payload, except the bytes of memory in write and data: of those it covers the
//                        range (with its capability) and how many they are. `length` does not count the MAC.
//
// Payloads, by kind:
//
//   hello          u8 version_min, u8 version_max, u8 role, u8 AuthMode, u32 features, u64 epoch, 16 bytes boot id,
//                  then four strings (u16 size, bytes): cluster id, node name, listening endpoint, shm socket; u64
//                  connection, u64 session, u8 rail, u8 count and as many strings: endpoints of further rails; 32
//                  bytes nonce, string tenant. A later version may append fields: what follows is ignored. The layout
//                  up to there is the same in every version.
//   proof          32 bytes: Session's proof of the side that sends it; with AuthMode::kMac, right after the hello
//   close          text: why the sender closes the connection; argument = Code
//   call, notify   message; argument = method
//   reply          argument = 0: message. Else: text of the failure
//   write          range, then range.length bytes of data
//   read           range
//   data           the bytes that a read asked for
//   done           argument = Code, payload = text of the failure; ends a write, a notify, a pull or a failed read
//   joined         u64 session
//   ack, fenced    u64 count of messages that have come in all
//   fence, cancel  empty; request id = connection, or that of a read
//   shm_...        see below; they travel on the unix socket of the shm transport only (shm_off: on tcp)
//   rdma           see rdma/rdma_frame.h; to peers whose hello has kFeatureRdma only
//
//   range          u32 segment index, u32 bytes of capability (0 or 56), u64 generation, u64 offset, u64 length, then
//                  the capability, if there is one: see auth/capability.h
//   source         u64 pool (0: the sender's own address space), u64 offset in the pool or address, u64 length
//
// Every function here is total: any bytes give a value or a Status, and none reads outside what it was given.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "transfer/auth/auth_config.h"
#include "transfer/auth/crypto.h"
#include "transfer/transfer_engine.h"

namespace mooncake::transfer {

inline constexpr std::uint32_t kFrameMagic = 0x4654434d;
inline constexpr std::size_t kHeaderBytes = 32;
/// The versions of the protocol that this build speaks.
inline constexpr std::uint8_t kProtocolMin = 1;
inline constexpr std::uint8_t kProtocolMax = 1;
/// The version in the header of a hello, in all versions of the protocol.
inline constexpr std::uint8_t kHelloVersion = 1;

enum class FrameKind : std::uint8_t {
  kHello = 1,
  kClose = 2,
  kCall = 3,
  kReply = 4,
  kNotify = 5,
  kWrite = 6,
  kRead = 7,
  kData = 8,
  kDone = 9,
  kShmOff = 10,       ///< "I have no shm path to you: do not wait for one"
  kShmProbe = 11,     ///< u64 address, u64 nonce: "try to read this from my address space"
  kShmReady = 12,     ///< argument 1: the probe was readable, so foreign memory may be named as a source
  kShmPool = 13,      ///< u64 pool, u64 bytes, and a file descriptor: "this is my pool"
  kShmPoolGone = 14,  ///< u64 pool
  kShmPull = 15,      ///< range, source: "copy my bytes into your segment"; answered by done
  kShmCancel = 16,    ///< gives up the pull of that request id; it is answered by done all the same
  kShmGrant = 17,     ///< range: "let me copy from your segment"; answered by granted, or done
  kShmGranted = 18,   ///< source; the owner keeps the range in place until released
  kShmRelease = 19,   ///< the copy is over (argument 1: and the bytes arrived)
  kAck = 20,          ///< u64: "I have that many of your messages"
  kFence = 21,        ///< request id = connection: "it is over; tell me when nothing of it can reach you any more"
  kFenced = 22,       ///< the answer: u64 as in ack
  kCancel = 23,       ///< gives up the read of that request id: what is not sent yet need not be; answered all the same
  kJoined = 24,       ///< u64: first on a connection from the side that accepted it: its session, as in hello
  kProof = 25,        ///< the sender holds the key
  kRdma = 26,         ///< what two RDMA transports say; the argument tells them apart
};
inline constexpr std::uint8_t kFrameKindLast = 26;

/// On done: the range is fine, but this transport cannot reach it; use another.
inline constexpr std::uint16_t kFlagOtherTransport = 1;

struct FrameHeader {
  std::uint8_t version = kProtocolMax;
  FrameKind kind = FrameKind::kClose;
  std::uint16_t flags = 0;
  std::uint64_t request_id = 0;
  std::uint64_t length = 0;
  std::uint32_t argument = 0;
  bool operator==(const FrameHeader&) const = default;
};

/// A range of a segment, as it is named to its owner.
struct BulkRange {
  SegmentHandle segment;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::optional<Capability> capability = {};  ///< what gives the right to it; none: the segment's own rights
  bool operator==(const BulkRange&) const = default;
};
/// Without and with a capability.
inline constexpr std::size_t kRangeBytes = 32;
inline constexpr std::size_t kRangeBytesMax = kRangeBytes + kCapabilityBytes;

/// Where a peer on this host finds bytes without a socket.
struct ShmSource {
  std::uint64_t pool = 0;  ///< 0: the address space of the sender
  std::uint64_t at = 0;    ///< offset in the pool, or address
  std::uint64_t length = 0;
  bool operator==(const ShmSource&) const = default;
};
inline constexpr std::size_t kSourceBytes = 24;

/// What a connection is for. Only a primary one may begin an epoch; the others join a peer that is there already.
enum class ConnectionRole : std::uint8_t { kPrimary = 0, kExtra = 1, kShm = 2 };

/// In a hello's features: this engine has RDMA ports, and understands rdma frames.
inline constexpr std::uint32_t kFeatureRdma = 1;
/// And those about message lanes (rdma/message_lane.h).
inline constexpr std::uint32_t kFeatureMessageLanes = 2;

struct Hello {
  std::uint8_t version_min = kProtocolMin;
  std::uint8_t version_max = kProtocolMax;
  ConnectionRole role = ConnectionRole::kPrimary;
  std::uint32_t features = 0;
  std::uint64_t epoch = 0;  ///< names one lifetime of one engine; random, not 0
  std::array<std::byte, 16> boot_id{};
  std::string cluster_id;
  std::string node_name;
  std::string listen;
  std::string shm_socket;  ///< abstract unix socket; empty: no shm
  /// Names the connection to both sides; drawn at random by the one that dials, 0 from the one that accepts.
  std::uint64_t connection = 0;
  /// Which of its peers the dialling side means: a number drawn when that side began to know this engine. Another one
  /// than before says that it has lost this engine meanwhile, and all that was between the two. 0 from the accepting
  /// side.
  std::uint64_t session = 0;
  std::uint8_t rail = 0;                ///< of the connection: 0 is `listen`, the others follow in `rails`
  std::vector<std::string> rails = {};  ///< listening endpoints of further rails, at most kEndpointsMax - 1
  AuthMode auth = AuthMode::kPlain;
  std::array<std::byte, 32> nonce{};  ///< of this connection; random
  std::string tenant = {};            ///< whose key the sender proves to hold; empty: the cluster's
  /// Who the sender has proven to be, however it did; empty if nobody asked. Not on the wire.
  std::string identity = {};
  bool operator==(const Hello&) const = default;
};
/// Network interfaces of one engine; the largest servers have 8 for the GPUs and a few more.
inline constexpr std::size_t kEndpointsMax = 12;
/// Long enough for host names (253 by RFC 1035), short enough that a hello fits two pages.
inline constexpr std::size_t kHelloStringMax = 255;
inline constexpr std::size_t kHelloBytesMax = 8192;
/// Texts of failures are cut at this size.
inline constexpr std::size_t kReasonBytesMax = 1024;
/// One bulk frame carries a stripe, below 2 MiB by the planner; 8 MiB leaves other versions room.
inline constexpr std::size_t kBulkFrameBytesMax = 8u << 20;

/// The largest payload of a frame of that kind.
std::uint64_t payload_bytes_max(FrameKind kind);
/// "call", "shm_pull".
std::string_view frame_kind_name(FrameKind kind);

using HeaderBytes = std::array<std::byte, kHeaderBytes>;
HeaderBytes encode_header(const FrameHeader& header);
/// @return kCorrupt (magic, crc32c), kPermissionDenied (this is TLS), kUnsupported (version, kind, flags), kExhausted
/// (oversize length). Each is a reason to close the connection: there is no way to find the next header.
Result<FrameHeader> decode_header(std::span<const std::byte, kHeaderBytes> bytes);

/// Strings longer than kHelloStringMax are cut.
std::string encode_hello(const Hello& hello);
/// @return kCorrupt if it ends early, or holds control characters, an unknown role or no epoch.
Result<Hello> decode_hello(ConstByteSpan bytes);
/// The highest version both sides speak. @return kUnsupported with both ranges in the message.
Result<std::uint8_t> common_version(const Hello& theirs);

/// Writes the range to the front of `out`, which has room for it (kRangeBytesMax always has). @return what was written.
ConstByteSpan encode_range(const BulkRange& range, ByteSpan out);
/// How many bytes the range has that begins with `head` (kRangeBytes of them). @return kCorrupt if none has.
Result<std::size_t> range_bytes(ConstByteSpan head);
/// @return kCorrupt if the size is wrong.
Result<BulkRange> decode_range(ConstByteSpan bytes);

void encode_source(const ShmSource& source, std::span<std::byte, kSourceBytes> out);
Result<ShmSource> decode_source(ConstByteSpan bytes);

struct ShmPull {
  BulkRange target;
  ShmSource source;
};
/// @return kCorrupt if the size is wrong or the two lengths differ.
Result<ShmPull> decode_pull(ConstByteSpan bytes);

/// The payload of ack and fenced. @return kCorrupt if the size is wrong.
Result<std::uint64_t> decode_count(ConstByteSpan bytes);

/// Two u64: the payload of shm_probe and shm_pool.
struct U64Pair {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
};
Result<U64Pair> decode_pair(ConstByteSpan bytes);

/// The Status that a reply, done or close frame carries. Argument 0 is success.
Status decode_status(std::uint32_t argument, std::string_view text);

}  // namespace mooncake::transfer
