#include "cli/transfer/segment_service.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "cli/transfer/copy_report.h"
#include "cli/transfer/transfer_client.h"

namespace mooncake::cli {
namespace {

TEST(SegmentService, DescriptionComesBackAsItWas) {
  const SegmentDescription description{
      .segment = {.index = 3, .generation = 0xfedcba9876543210}, .bytes = 1ull << 40, .cpu_s = 1.25};
  const auto parsed = parse_description(format_description(description));
  ASSERT_TRUE(parsed.ok()) << parsed.status().to_string();
  EXPECT_EQ(*parsed, description);
}

TEST(SegmentService, WhatDescribesNothingIsCorrupt) {
  for (const char* text : {"", "{}", "[]", "hello", R"({"segment_index": 0, "generation": 1, "bytes": 2})",
                           R"({"segment_index": "0", "generation": 1, "bytes": 2, "cpu_s": 0})"}) {
    EXPECT_EQ(parse_description(text).status().code(), Code::kCorrupt) << text;
  }
}

TEST(SegmentService, SameSeedGivesTheSameNoiseAndEveryByteOfIt) {
  std::vector<std::byte> a(1003);
  std::vector<std::byte> b(1003);
  fill_with_noise(a, 5);
  fill_with_noise(b, 5);
  EXPECT_EQ(a, b);
  EXPECT_NE(std::ranges::count(std::span(a).last(16), std::byte{0}), 16) << "the last bytes are filled, too";
  fill_with_noise(b, 6);
  EXPECT_NE(a, b);
}

TEST(SegmentService, RangeIsCheckedWithoutWrappingAround) {
  const SegmentDescription segment{.segment = {}, .bytes = 100, .cpu_s = 0};
  EXPECT_TRUE(check_range(segment, 0, 100).ok());
  EXPECT_TRUE(check_range(segment, 99, 1).ok());
  EXPECT_EQ(check_range(segment, 100, 0).code(), Code::kInvalidArgument);
  EXPECT_EQ(check_range(segment, 100, 1).code(), Code::kOutOfRange);
  EXPECT_EQ(check_range(segment, 1, 100).code(), Code::kOutOfRange);
  EXPECT_EQ(check_range(segment, ~0ull, 2).code(), Code::kOutOfRange);
  EXPECT_EQ(check_range(segment, 2, ~0ull).code(), Code::kOutOfRange);
}

TEST(TransferClient, EngineThatIsItsOwnPeerMovesByMem) {
  auto client = TransferClient::connect_to_itself(4096);
  ASSERT_TRUE(client.ok()) << client.status().to_string();
  EXPECT_EQ((*client)->remote().bytes, 4096u);
  EXPECT_EQ((*client)->transport(), "");
  ASSERT_TRUE((*client)->allocate_local(1000).ok());
  const Deadline deadline = SteadyClock().now() + Seconds(20);
  ASSERT_TRUE((*client)->move(transfer::TransferRequest::Op::kRead, 8, deadline).ok());
  std::vector<std::byte> noise(4096);
  fill_with_noise(noise, 1);
  EXPECT_TRUE(std::ranges::equal((*client)->local(), std::span(noise).subspan(8, 1000)));
  EXPECT_EQ((*client)->transport(), "mem");
  EXPECT_EQ((*client)->move(transfer::TransferRequest::Op::kRead, 4000, deadline).code(), Code::kOutOfRange);
}

}  // namespace
}  // namespace mooncake::cli
