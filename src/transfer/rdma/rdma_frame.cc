#include "transfer/rdma/rdma_frame.h"

#include <algorithm>
#include <cstring>

namespace mooncake::transfer {
namespace {

constexpr std::size_t kAddressBytes = 24;
constexpr std::size_t kEndBytes = kAddressBytes + 12;
constexpr std::uint8_t kInfiniband = 1;
constexpr std::uint8_t kEthernet = 2;
/// Queue pair and packet sequence numbers have 24 bits (InfiniBand specification, 9.2).
constexpr std::uint32_t kNumberMax = 0xffffff;

Status corrupt(const char* message) { return {Code::kCorrupt, message}; }

void put_address(const RdmaAddress& address, std::byte* out) {
  std::memcpy(out, address.gid.data(), 16);
  store_le(out + 16, address.lid);
  store_le(out + 18, address.mtu);
  store_le(out + 19, address.infiniband ? kInfiniband : kEthernet);
  store_le(out + 20, static_cast<std::uint8_t>(address.up));
}

Result<RdmaAddress> take_address(const std::byte* from) {
  RdmaAddress address;
  std::memcpy(address.gid.data(), from, 16);
  address.lid = load_le<std::uint16_t>(from + 16);
  address.mtu = load_le<std::uint8_t>(from + 18);
  const auto link = load_le<std::uint8_t>(from + 19);
  const auto up = load_le<std::uint8_t>(from + 20);
  if (address.mtu < 1 || address.mtu > 5) return corrupt("an RDMA port has an unknown mtu");
  if (link != kInfiniband && link != kEthernet) return corrupt("an RDMA port has an unknown link");
  if (up > 1) return corrupt("an RDMA port is neither up nor down");
  address.infiniband = link == kInfiniband;
  address.up = up == 1;
  return address;
}

void put_end(const RdmaEnd& end, std::byte* out) {
  put_address(end.address, out);
  store_le(out + kAddressBytes, end.queue_pair);
  store_le(out + kAddressBytes + 4, end.packet_sequence);
  store_le(out + kAddressBytes + 8, end.reads_at_once);
}

Result<RdmaEnd> take_end(const std::byte* from) {
  RdmaEnd end;
  MC_ASSIGN_OR_RETURN(end.address, take_address(from));
  end.queue_pair = load_le<std::uint32_t>(from + kAddressBytes);
  end.packet_sequence = load_le<std::uint32_t>(from + kAddressBytes + 4);
  end.reads_at_once = load_le<std::uint8_t>(from + kAddressBytes + 8);
  if (end.queue_pair > kNumberMax || end.packet_sequence > kNumberMax) {
    return corrupt("an RDMA endpoint has numbers of more than 24 bits");
  }
  if (end.reads_at_once == 0) return corrupt("an RDMA endpoint allows no reads");
  return end;
}

template <std::size_t kBytes>
std::string text(const std::array<std::byte, kBytes>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

std::uint32_t rdma_argument(RdmaFrame frame, Code code) {
  return static_cast<std::uint32_t>(frame) | static_cast<std::uint32_t>(code) << 8;
}

Result<RdmaFrame> decode_rdma_frame(std::uint32_t argument) {
  const auto kind = static_cast<std::uint8_t>(argument);
  if (kind == 0 || kind > kRdmaFrameLast || argument > 0xffff) return corrupt("an unknown rdma frame");
  return static_cast<RdmaFrame>(kind);
}

Status decode_rdma_status(std::uint32_t argument, std::string_view message) {
  return decode_status(argument >> 8 & 0xff, message);
}

std::string encode_rdma_ports(const std::vector<RdmaAddress>& ports) {
  std::string out;
  for (const RdmaAddress& port : ports) {
    std::array<std::byte, kAddressBytes> bytes{};
    put_address(port, bytes.data());
    out += text(bytes);
  }
  return out;
}

std::string encode_rdma_end(const RdmaEnd& end) {
  std::array<std::byte, kEndBytes> bytes{};
  put_end(end, bytes.data());
  return text(bytes);
}

std::string encode_rdma_open(const RdmaOpen& open) {
  std::array<std::byte, 4> port;
  store_le(port.data(), open.port);
  return encode_rdma_end(open.opener) + text(port);
}

std::string encode_rdma_grant(const RdmaGrant& grant) {
  std::array<std::byte, 8 + kRangeBytesMax> bytes;
  store_le(bytes.data(), grant.endpoint);
  const ConstByteSpan range = encode_range(grant.range, ByteSpan(bytes).subspan(8));
  return {reinterpret_cast<const char*>(bytes.data()), 8 + range.size()};
}

std::string encode_rdma_granted(const RdmaGranted& granted) {
  std::array<std::byte, 16> bytes;
  store_le(bytes.data(), granted.address);
  store_le(bytes.data() + 8, granted.key);
  store_le(bytes.data() + 12, granted.ticket);
  return text(bytes);
}

Result<std::vector<RdmaAddress>> decode_rdma_ports(ConstByteSpan bytes) {
  if (bytes.empty() || bytes.size() % kAddressBytes != 0 || bytes.size() / kAddressBytes > kRdmaPortsMax) {
    return corrupt("a list of RDMA ports has the wrong size");
  }
  std::vector<RdmaAddress> ports;
  for (std::size_t at = 0; at < bytes.size(); at += kAddressBytes) {
    MC_ASSIGN_OR_RETURN(const RdmaAddress port, take_address(bytes.data() + at));
    ports.push_back(port);
  }
  return ports;
}

Result<RdmaOpen> decode_rdma_open(ConstByteSpan bytes) {
  if (bytes.size() != kEndBytes + 4) return corrupt("an rdma open has the wrong size");
  RdmaOpen open;
  MC_ASSIGN_OR_RETURN(open.opener, take_end(bytes.data()));
  open.port = load_le<std::uint32_t>(bytes.data() + kEndBytes);
  return open;
}

Result<RdmaEnd> decode_rdma_end(ConstByteSpan bytes) {
  if (bytes.size() != kEndBytes) return corrupt("an RDMA endpoint has the wrong size");
  return take_end(bytes.data());
}

Result<RdmaGrant> decode_rdma_grant(ConstByteSpan bytes) {
  if (bytes.size() < 8) return corrupt("an rdma grant has the wrong size");
  RdmaGrant grant;
  MC_ASSIGN_OR_RETURN(grant.range, decode_range(bytes.subspan(8)));
  if (grant.range.length == 0) return corrupt("an rdma grant of no bytes");
  grant.endpoint = load_le<std::uint64_t>(bytes.data());
  return grant;
}

Result<RdmaGranted> decode_rdma_granted(ConstByteSpan bytes) {
  if (bytes.size() != 16) return corrupt("an rdma granted has the wrong size");
  return RdmaGranted{load_le<std::uint64_t>(bytes.data()), load_le<std::uint32_t>(bytes.data() + 8),
                     load_le<std::uint32_t>(bytes.data() + 12)};
}

}  // namespace mooncake::transfer
