// The wire format as bytes, and decoders that survive any bytes.
#include "transfer/frame.h"

#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "base/rng.h"

namespace mooncake::transfer {
namespace {

/// Flips the header's fields by hand, with a checksum that fits.
HeaderBytes with_byte(HeaderBytes bytes, std::size_t at, unsigned value) {
  bytes[at] = static_cast<std::byte>(value);
  store_le(bytes.data() + 28, crc32c(ConstByteSpan(bytes).first(28)));
  return bytes;
}

Hello some_hello() {
  return {.role = ConnectionRole::kExtra,
          .features = 5,
          .epoch = 42,
          .boot_id = {std::byte{1}, std::byte{2}},
          .cluster_id = "c",
          .node_name = "prefill-0",
          .listen = "127.0.0.1:4000",
          .shm_socket = "s",
          .connection = 77,
          .session = 78,
          .rail = 1,
          .rails = {"127.0.0.1:4001", "127.0.0.1:4002"}};
}

TEST(Frame, HeaderIsTheseBytes) {
  const HeaderBytes bytes = encode_header({.version = 1,
                                           .kind = FrameKind::kCall,
                                           .flags = 0,
                                           .request_id = 0x0102030405060708,
                                           .length = 0x10,
                                           .argument = 0xaabb});
  EXPECT_EQ(to_hex(ConstByteSpan(bytes).first(28)),
            "4d43544601030000080706050403020110000000000000"
            "00bbaa0000");
  EXPECT_EQ(load_le<std::uint32_t>(bytes.data() + 28), crc32c(ConstByteSpan(bytes).first(28)));
}

TEST(Frame, EveryKindSurvivesTheRoundTrip) {
  for (unsigned kind = 1; kind <= kFrameKindLast; ++kind) {
    const FrameHeader header{.kind = static_cast<FrameKind>(kind), .request_id = ~0ull, .argument = ~0u};
    const Result<FrameHeader> decoded = decode_header(encode_header(header));
    ASSERT_TRUE(decoded.ok()) << decoded.status().to_string();
    EXPECT_EQ(*decoded, header);
    EXPECT_NE(frame_kind_name(header.kind), "unknown");
  }
}

TEST(Frame, AnyChangedByteOfAHeaderIsNoticed) {
  const HeaderBytes good = encode_header({.kind = FrameKind::kCall, .request_id = 7, .length = 9});
  for (std::size_t at = 0; at < good.size(); ++at) {
    HeaderBytes bad = good;
    bad[at] ^= std::byte{0x10};
    EXPECT_EQ(decode_header(bad).status().code(), Code::kCorrupt) << at;
  }
}

TEST(Frame, UnknownVersionKindAndFlagsAreUnsupported) {
  const HeaderBytes good = encode_header({.kind = FrameKind::kCall});
  EXPECT_EQ(decode_header(with_byte(good, 4, kProtocolMax + 1)).status().code(), Code::kUnsupported);
  EXPECT_EQ(decode_header(with_byte(good, 4, 0)).status().code(), Code::kUnsupported);
  EXPECT_EQ(decode_header(with_byte(good, 5, 0)).status().code(), Code::kUnsupported);
  EXPECT_EQ(decode_header(with_byte(good, 5, kFrameKindLast + 1)).status().code(), Code::kUnsupported);
  EXPECT_EQ(decode_header(with_byte(good, 6, 0x40)).status().code(), Code::kUnsupported);
}

TEST(Frame, LengthIsLimitedByKind) {
  for (unsigned number = 1; number <= kFrameKindLast; ++number) {
    const auto kind = static_cast<FrameKind>(number);
    EXPECT_TRUE(decode_header(encode_header({.kind = kind, .length = payload_bytes_max(kind)})).ok());
    const Status status = decode_header(encode_header({.kind = kind, .length = payload_bytes_max(kind) + 1})).status();
    EXPECT_EQ(status.code(), Code::kExhausted);
  }
}

TEST(Frame, HelloSurvivesTheRoundTripAndLaterFieldsAreIgnored) {
  const std::string bytes = encode_hello(some_hello());
  EXPECT_EQ(*decode_hello(as_bytes(bytes)), some_hello());
  EXPECT_EQ(*decode_hello(as_bytes(bytes + "what a later version appends")), some_hello());
}

TEST(Frame, HelloThatEndsEarlyIsCorruptWhereverItEnds) {
  const std::string bytes = encode_hello(some_hello());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(decode_hello(as_bytes(bytes).first(size)).status().code(), Code::kCorrupt) << size;
  }
}

TEST(Frame, LongestHelloFitsItsFrame) {
  Hello hello = some_hello();
  hello.cluster_id = hello.node_name = hello.listen = hello.shm_socket = std::string(1000, 'x');
  hello.rails.assign(kEndpointsMax - 1, std::string(1000, 'x'));
  const std::string bytes = encode_hello(hello);
  EXPECT_LE(bytes.size(), kHelloBytesMax);
  EXPECT_EQ(decode_hello(as_bytes(bytes))->node_name, std::string(kHelloStringMax, 'x'));
}

TEST(Frame, HelloWithMoreRailsThanThereCanBeIsCorrupt) {
  Hello hello = some_hello();
  hello.rails.assign(kEndpointsMax, "x");
  EXPECT_EQ(decode_hello(as_bytes(encode_hello(hello))).status().code(), Code::kCorrupt);
  hello = some_hello();
  hello.rail = kEndpointsMax;
  EXPECT_EQ(decode_hello(as_bytes(encode_hello(hello))).status().code(), Code::kCorrupt);
}

TEST(Frame, CommonVersionIsTheHighestOfBoth) {
  Hello hello;
  EXPECT_EQ(*common_version(hello), kProtocolMax);
  hello.version_max = 255;
  EXPECT_EQ(*common_version(hello), kProtocolMax);
  hello.version_min = kProtocolMax + 1;
  EXPECT_EQ(common_version(hello).status().code(), Code::kUnsupported);
  hello.version_min = hello.version_max = 0;
  EXPECT_EQ(common_version(hello).status().code(), Code::kUnsupported);
}

TEST(Frame, RangeAndSourceSurviveTheRoundTrip) {
  const BulkRange range{.segment = {7, ~0ull}, .offset = 1ull << 60, .length = 3};
  const ShmSource source{.pool = 9, .at = ~0ull, .length = 3};
  std::array<std::byte, kRangeBytes + kSourceBytes> bytes;
  encode_range(range, std::span(bytes).first<kRangeBytes>());
  encode_source(source, std::span(bytes).last<kSourceBytes>());
  EXPECT_EQ(*decode_range(ConstByteSpan(bytes).first(kRangeBytes)), range);
  EXPECT_EQ(decode_pull(bytes)->source, source);
  EXPECT_EQ(decode_range(bytes).status().code(), Code::kCorrupt);
  bytes.back() = std::byte{1};  // now the two lengths differ
  EXPECT_EQ(decode_pull(bytes).status().code(), Code::kCorrupt);
}

TEST(Frame, DecodersTakeAnyBytes) {
  Rng rng(1);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> bytes(rng.below(100));
    for (std::byte& b : bytes) b = static_cast<std::byte>(rng.next());
    static_cast<void>(decode_hello(bytes));
    static_cast<void>(decode_range(bytes));
    static_cast<void>(decode_pull(bytes));
    static_cast<void>(decode_source(bytes));
    static_cast<void>(decode_pair(bytes));
    if (bytes.size() >= kHeaderBytes) {
      EXPECT_FALSE(decode_header(std::span<const std::byte, kHeaderBytes>(bytes.data(), kHeaderBytes)).ok());
    }
  }
}

}  // namespace
}  // namespace mooncake::transfer
