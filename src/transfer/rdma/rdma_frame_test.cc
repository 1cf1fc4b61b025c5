#include "transfer/rdma/rdma_frame.h"

#include <gtest/gtest.h>

namespace mooncake::transfer {
namespace {

RdmaAddress some_address() {
  RdmaAddress address{.lid = 0x1234, .mtu = 3, .infiniband = false, .up = true};
  for (std::size_t i = 0; i < address.gid.size(); ++i) address.gid[i] = static_cast<std::byte>(i);
  return address;
}

RdmaEnd some_end() {
  return {.address = some_address(), .queue_pair = 0xabcdef, .packet_sequence = 0xfffffe, .reads_at_once = 16};
}

std::string with_byte(std::string bytes, std::size_t at, int value) {
  bytes.at(at) = static_cast<char>(value);
  return bytes;
}

TEST(RdmaFrame, AddressIsTheseBytes) {
  EXPECT_EQ(to_hex(as_bytes(encode_rdma_ports({some_address()}))),
            "000102030405060708090a0b0c0d0e0f"
            "3412"
            "03"
            "02"
            "01"
            "000000");
}

TEST(RdmaFrame, PayloadsSurviveTheRoundTrip) {
  const std::vector<RdmaAddress> ports(kRdmaPortsMax, some_address());
  EXPECT_EQ(*decode_rdma_ports(as_bytes(encode_rdma_ports(ports))), ports);
  EXPECT_EQ(*decode_rdma_end(as_bytes(encode_rdma_end(some_end()))), some_end());
  const RdmaOpen open{.opener = some_end(), .port = 7};
  EXPECT_EQ(*decode_rdma_open(as_bytes(encode_rdma_open(open))), open);
  const RdmaGrant grant{.range = {.segment = {3, 4}, .offset = 5, .length = 6}, .endpoint = 7};
  EXPECT_EQ(*decode_rdma_grant(as_bytes(encode_rdma_grant(grant))), grant);
  const RdmaGranted granted{.address = ~0ull, .key = 0x1020304, .ticket = 5};
  EXPECT_EQ(*decode_rdma_granted(as_bytes(encode_rdma_granted(granted))), granted);
}

TEST(RdmaFrame, LargestPayloadFitsItsFrame) {
  EXPECT_LE(encode_rdma_ports(std::vector<RdmaAddress>(kRdmaPortsMax)).size(), payload_bytes_max(FrameKind::kRdma));
}

TEST(RdmaFrame, ArgumentCarriesTheKindAndTheCode) {
  for (unsigned kind = 1; kind <= kRdmaFrameLast; ++kind) {
    const auto frame = static_cast<RdmaFrame>(kind);
    EXPECT_EQ(*decode_rdma_frame(rdma_argument(frame, Code::kStale)), frame);
    EXPECT_EQ(decode_rdma_status(rdma_argument(frame, Code::kStale), "gone").code(), Code::kStale);
    EXPECT_TRUE(decode_rdma_status(rdma_argument(frame), "").ok());
  }
  for (const std::uint32_t unknown : {0u, kRdmaFrameLast + 1u, 0x10001u}) {
    EXPECT_EQ(decode_rdma_frame(unknown).status().code(), Code::kCorrupt);
  }
}

TEST(RdmaFrame, EveryOtherSizeIsCorrupt) {
  const std::string ports = encode_rdma_ports({some_address(), some_address()});
  const std::string open = encode_rdma_open({.opener = some_end(), .port = 0});
  const std::string end = encode_rdma_end(some_end());
  const std::string grant = encode_rdma_grant({.range = {.segment = {}, .offset = 0, .length = 1}, .endpoint = 1});
  const std::string granted = encode_rdma_granted({});
  for (const int by : {-1, 1}) {
    const auto resized = [by](std::string bytes) {
      bytes.resize(bytes.size() + static_cast<std::size_t>(by));
      return bytes;
    };
    EXPECT_EQ(decode_rdma_ports(as_bytes(resized(ports))).status().code(), Code::kCorrupt);
    EXPECT_EQ(decode_rdma_open(as_bytes(resized(open))).status().code(), Code::kCorrupt);
    EXPECT_EQ(decode_rdma_end(as_bytes(resized(end))).status().code(), Code::kCorrupt);
    EXPECT_EQ(decode_rdma_grant(as_bytes(resized(grant))).status().code(), Code::kCorrupt);
    EXPECT_EQ(decode_rdma_granted(as_bytes(resized(granted))).status().code(), Code::kCorrupt);
  }
  EXPECT_EQ(decode_rdma_ports({}).status().code(), Code::kCorrupt);
  const std::string many = encode_rdma_ports(std::vector<RdmaAddress>(kRdmaPortsMax + 1, some_address()));
  EXPECT_EQ(decode_rdma_ports(as_bytes(many)).status().code(), Code::kCorrupt);
}

TEST(RdmaFrame, ValuesThatCannotBeAreCorrupt) {
  const std::string end = encode_rdma_end(some_end());
  EXPECT_EQ(decode_rdma_end(as_bytes(with_byte(end, 18, 0))).status().code(), Code::kCorrupt) << "mtu";
  EXPECT_EQ(decode_rdma_end(as_bytes(with_byte(end, 18, 6))).status().code(), Code::kCorrupt) << "mtu";
  EXPECT_EQ(decode_rdma_end(as_bytes(with_byte(end, 19, 3))).status().code(), Code::kCorrupt) << "link";
  EXPECT_EQ(decode_rdma_end(as_bytes(with_byte(end, 20, 2))).status().code(), Code::kCorrupt) << "up";
  EXPECT_EQ(decode_rdma_end(as_bytes(with_byte(end, 27, 1))).status().code(), Code::kCorrupt) << "queue pair";
  EXPECT_EQ(decode_rdma_end(as_bytes(with_byte(end, 31, 1))).status().code(), Code::kCorrupt) << "sequence";
  EXPECT_EQ(decode_rdma_end(as_bytes(with_byte(end, 32, 0))).status().code(), Code::kCorrupt) << "reads";
  const std::string nothing = encode_rdma_grant({});
  EXPECT_EQ(decode_rdma_grant(as_bytes(nothing)).status().code(), Code::kCorrupt) << "no bytes";
}

}  // namespace
}  // namespace mooncake::transfer
