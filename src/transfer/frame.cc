#include "transfer/frame.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/crc32c.h"

namespace mooncake::transfer {
namespace {

constexpr std::array<std::string_view, kFrameKindLast + 1> kKindNames = {
    "none",          "hello",    "close",      "call",      "reply",       "notify",      "write",
    "read",          "data",     "done",       "shm_off",   "shm_probe",   "shm_ready",   "shm_pool",
    "shm_pool_gone", "shm_pull", "shm_cancel", "shm_grant", "shm_granted", "shm_release", "ack",
    "fence",         "fenced",   "cancel",     "joined",    "proof",       "rdma"};

Status corrupt(std::string message) { return {Code::kCorrupt, std::move(message)}; }

/// Takes integers and strings off the front of a payload; after the first shortage everything fails.
class Cursor {
 public:
  explicit Cursor(ConstByteSpan bytes) : rest_(bytes) {}

  template <typename T>
  T integer() {
    if (rest_.size() < sizeof(T)) return fail<T>();
    const T value = load_le<T>(rest_.data());
    rest_ = rest_.subspan(sizeof(T));
    return value;
  }

  std::string text(std::size_t size_max) {
    const auto size = integer<std::uint16_t>();
    if (size > size_max || rest_.size() < size) return fail<std::string>();
    std::string value(reinterpret_cast<const char*>(rest_.data()), size);
    rest_ = rest_.subspan(size);
    return value;
  }

  [[nodiscard]] bool ok() const { return ok_; }

 private:
  template <typename T>
  T fail() {
    ok_ = false;
    rest_ = {};
    return T{};
  }

  ConstByteSpan rest_;
  bool ok_ = true;
};

template <typename T>
void append_le(std::string& out, T value) {
  std::array<std::byte, sizeof(T)> bytes;
  store_le(bytes.data(), value);
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void append_text(std::string& out, std::string_view text) {
  text = text.substr(0, kHelloStringMax);
  append_le(out, static_cast<std::uint16_t>(text.size()));
  out.append(text);
}

/// Names reach logs and metrics: no byte below space, no DEL.
bool printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
}

/// Why bytes that do not begin with the magic are no frame. TLS records of a handshake or an alert begin 22 3 or 21 3.
Status no_frame(ConstByteSpan bytes) {
  const bool tls = (bytes[0] == std::byte{22} || bytes[0] == std::byte{21}) && bytes[1] == std::byte{3};
  if (!tls) return corrupt("this is not a mooncake frame (wrong magic)");
  return {Code::kPermissionDenied, "the other side speaks TLS, and this one does not: both need the same --auth"};
}

}  // namespace

std::uint64_t payload_bytes_max(FrameKind kind) {
  switch (kind) {
    case FrameKind::kHello:
      return kHelloBytesMax;
    case FrameKind::kCall:
    case FrameKind::kReply:
    case FrameKind::kNotify:
      return kMessageBytesMax;
    case FrameKind::kWrite:
      return kRangeBytesMax + kBulkFrameBytesMax;
    case FrameKind::kData:
      return kBulkFrameBytesMax;
    case FrameKind::kClose:
    case FrameKind::kDone:
    case FrameKind::kRdma:
      return kReasonBytesMax;
    case FrameKind::kRead:
    case FrameKind::kShmGrant:
      return kRangeBytesMax;
    case FrameKind::kShmPull:
      return kRangeBytesMax + kSourceBytes;
    case FrameKind::kProof:
      return sizeof(Digest);
    case FrameKind::kShmGranted:
      return kSourceBytes;
    case FrameKind::kShmProbe:
    case FrameKind::kShmPool:
      return 16;
    case FrameKind::kShmPoolGone:
    case FrameKind::kAck:
    case FrameKind::kFenced:
    case FrameKind::kJoined:
      return 8;
    case FrameKind::kShmOff:
    case FrameKind::kShmReady:
    case FrameKind::kShmCancel:
    case FrameKind::kShmRelease:
    case FrameKind::kFence:
    case FrameKind::kCancel:
      return 0;
  }
  return 0;
}

std::string_view frame_kind_name(FrameKind kind) {
  const auto index = static_cast<std::size_t>(kind);
  return index < kKindNames.size() ? kKindNames[index] : "unknown";
}

HeaderBytes encode_header(const FrameHeader& header) {
  HeaderBytes bytes;
  store_le(bytes.data(), kFrameMagic);
  store_le(bytes.data() + 4, header.version);
  store_le(bytes.data() + 5, static_cast<std::uint8_t>(header.kind));
  store_le(bytes.data() + 6, header.flags);
  store_le(bytes.data() + 8, header.request_id);
  store_le(bytes.data() + 16, header.length);
  store_le(bytes.data() + 24, header.argument);
  store_le(bytes.data() + 28, crc32c(ConstByteSpan(bytes).first(28)));
  return bytes;
}

Result<FrameHeader> decode_header(std::span<const std::byte, kHeaderBytes> bytes) {
  if (load_le<std::uint32_t>(bytes.data()) != kFrameMagic) return no_frame(bytes);
  if (load_le<std::uint32_t>(bytes.data() + 28) != crc32c(ConstByteSpan(bytes).first(28))) {
    return corrupt("a frame header fails its crc32c");
  }
  const auto kind = load_le<std::uint8_t>(bytes.data() + 5);
  FrameHeader header{.version = load_le<std::uint8_t>(bytes.data() + 4),
                     .kind = static_cast<FrameKind>(kind),
                     .flags = load_le<std::uint16_t>(bytes.data() + 6),
                     .request_id = load_le<std::uint64_t>(bytes.data() + 8),
                     .length = load_le<std::uint64_t>(bytes.data() + 16),
                     .argument = load_le<std::uint32_t>(bytes.data() + 24)};
  if (kind == 0 || kind > kFrameKindLast) return Status(Code::kUnsupported, fmt::format("unknown frame kind {}", kind));
  if (header.kind != FrameKind::kHello && (header.version < kProtocolMin || header.version > kProtocolMax)) {
    return Status(Code::kUnsupported, fmt::format("frame of protocol version {}, expected {} to {}", header.version,
                                                  kProtocolMin, kProtocolMax));
  }
  if ((header.flags & ~kFlagOtherTransport) != 0) {
    return Status(Code::kUnsupported, fmt::format("unknown frame flags {:#x}", header.flags));
  }
  if (header.length > payload_bytes_max(header.kind)) {
    return Status(Code::kExhausted,
                  fmt::format("a {} frame of {} bytes, at most {} are allowed", frame_kind_name(header.kind),
                              header.length, payload_bytes_max(header.kind)));
  }
  return header;
}

std::string encode_hello(const Hello& hello) {
  std::string out;
  append_le(out, hello.version_min);
  append_le(out, hello.version_max);
  append_le(out, static_cast<std::uint8_t>(hello.role));
  append_le(out, static_cast<std::uint8_t>(hello.auth));
  append_le(out, hello.features);
  append_le(out, hello.epoch);
  out.append(reinterpret_cast<const char*>(hello.boot_id.data()), hello.boot_id.size());
  append_text(out, hello.cluster_id);
  append_text(out, hello.node_name);
  append_text(out, hello.listen);
  append_text(out, hello.shm_socket);
  append_le(out, hello.connection);
  append_le(out, hello.session);
  append_le(out, hello.rail);
  append_le(out, static_cast<std::uint8_t>(hello.rails.size()));
  for (const std::string& endpoint : hello.rails) append_text(out, endpoint);
  out.append(reinterpret_cast<const char*>(hello.nonce.data()), hello.nonce.size());
  append_text(out, hello.tenant);
  return out;
}

Result<Hello> decode_hello(ConstByteSpan bytes) {
  Cursor cursor(bytes);
  Hello hello;
  hello.version_min = cursor.integer<std::uint8_t>();
  hello.version_max = cursor.integer<std::uint8_t>();
  const auto role = cursor.integer<std::uint8_t>();
  hello.auth = static_cast<AuthMode>(cursor.integer<std::uint8_t>());
  hello.features = cursor.integer<std::uint32_t>();
  hello.epoch = cursor.integer<std::uint64_t>();
  for (std::byte& b : hello.boot_id) b = static_cast<std::byte>(cursor.integer<std::uint8_t>());
  hello.cluster_id = cursor.text(kHelloStringMax);
  hello.node_name = cursor.text(kHelloStringMax);
  hello.listen = cursor.text(kHelloStringMax);
  hello.shm_socket = cursor.text(kHelloStringMax);
  hello.connection = cursor.integer<std::uint64_t>();
  hello.session = cursor.integer<std::uint64_t>();
  hello.rail = cursor.integer<std::uint8_t>();
  hello.rails.resize(std::min<std::size_t>(cursor.integer<std::uint8_t>(), kEndpointsMax));
  for (std::string& endpoint : hello.rails) endpoint = cursor.text(kHelloStringMax);
  for (std::byte& b : hello.nonce) b = static_cast<std::byte>(cursor.integer<std::uint8_t>());
  hello.tenant = cursor.text(kHelloStringMax);
  if (!cursor.ok()) return corrupt("the hello ends early");
  if (role > static_cast<std::uint8_t>(ConnectionRole::kShm)) return corrupt("the hello has an unknown role");
  hello.role = static_cast<ConnectionRole>(role);
  if (hello.rail >= kEndpointsMax || hello.rails.size() >= kEndpointsMax) {
    return corrupt(fmt::format("the hello names more than {} rails", kEndpointsMax));
  }
  if (hello.epoch == 0) return corrupt("the hello has no epoch");
  if (!std::ranges::all_of(hello.rails, printable) || !printable(hello.cluster_id) || !printable(hello.node_name) ||
      !printable(hello.listen) || !printable(hello.tenant)) {
    return corrupt("the hello has control characters in a name");
  }
  return hello;
}

Result<std::uint8_t> common_version(const Hello& theirs) {
  const std::uint8_t version = std::min(kProtocolMax, theirs.version_max);
  if (version >= kProtocolMin && version >= theirs.version_min) return version;
  return Status(Code::kUnsupported, fmt::format("no common protocol version: {} to {} here, {} to {} there",
                                                kProtocolMin, kProtocolMax, theirs.version_min, theirs.version_max));
}

ConstByteSpan encode_range(const BulkRange& range, ByteSpan out) {
  const std::size_t extra = range.capability.has_value() ? kCapabilityBytes : 0;
  CHECK(out.size() >= kRangeBytes + extra);
  store_le(out.data(), range.segment.index);
  store_le(out.data() + 4, static_cast<std::uint32_t>(extra));
  store_le(out.data() + 8, range.segment.generation);
  store_le(out.data() + 16, range.offset);
  store_le(out.data() + 24, range.length);
  if (range.capability.has_value()) std::ranges::copy(range.capability->bytes, out.begin() + kRangeBytes);
  return out.first(kRangeBytes + extra);
}

Result<std::size_t> range_bytes(ConstByteSpan head) {
  const std::uint32_t extra = head.size() < kRangeBytes ? 1 : load_le<std::uint32_t>(head.data() + 4);
  if (extra != 0 && extra != kCapabilityBytes) return corrupt("a range has the wrong size");
  return kRangeBytes + extra;
}

Result<BulkRange> decode_range(ConstByteSpan bytes) {
  MC_ASSIGN_OR_RETURN(const std::size_t size, range_bytes(bytes));
  if (bytes.size() != size) return corrupt("a range has the wrong size");
  BulkRange range{.segment = {load_le<std::uint32_t>(bytes.data()), load_le<std::uint64_t>(bytes.data() + 8)},
                  .offset = load_le<std::uint64_t>(bytes.data() + 16),
                  .length = load_le<std::uint64_t>(bytes.data() + 24)};
  if (size > kRangeBytes) std::ranges::copy(bytes.subspan(kRangeBytes), range.capability.emplace().bytes.begin());
  return range;
}

void encode_source(const ShmSource& source, std::span<std::byte, kSourceBytes> out) {
  store_le(out.data(), source.pool);
  store_le(out.data() + 8, source.at);
  store_le(out.data() + 16, source.length);
}

Result<ShmSource> decode_source(ConstByteSpan bytes) {
  if (bytes.size() != kSourceBytes) return corrupt("a source has the wrong size");
  return ShmSource{load_le<std::uint64_t>(bytes.data()), load_le<std::uint64_t>(bytes.data() + 8),
                   load_le<std::uint64_t>(bytes.data() + 16)};
}

Result<ShmPull> decode_pull(ConstByteSpan bytes) {
  if (bytes.size() < kRangeBytes + kSourceBytes) return corrupt("a pull has the wrong size");
  const std::size_t range = bytes.size() - kSourceBytes;
  ShmPull pull;
  MC_ASSIGN_OR_RETURN(pull.target, decode_range(bytes.first(range)));
  MC_ASSIGN_OR_RETURN(pull.source, decode_source(bytes.subspan(range)));
  if (pull.target.length != pull.source.length) return corrupt("a pull names two lengths");
  return pull;
}

Result<std::uint64_t> decode_count(ConstByteSpan bytes) {
  if (bytes.size() != 8) return corrupt("a count has the wrong size");
  return load_le<std::uint64_t>(bytes.data());
}

Result<U64Pair> decode_pair(ConstByteSpan bytes) {
  if (bytes.size() != 16) return corrupt("a pair has the wrong size");
  return U64Pair{load_le<std::uint64_t>(bytes.data()), load_le<std::uint64_t>(bytes.data() + 8)};
}

Status decode_status(std::uint32_t argument, std::string_view text) {
  const Code code = code_from_wire(argument);
  if (argument == 0) return {};
  return {code, std::string(text.substr(0, kReasonBytesMax))};
}

}  // namespace mooncake::transfer
