#include "transfer/rail/slice_rule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

namespace mooncake::transfer {
namespace {

constexpr std::size_t kMiB = 1u << 20;

/// The lengths of the slices of a request of `total` bytes.
std::vector<std::size_t> lengths(const SliceRule& rule, std::size_t total, double bytes_per_s) {
  std::vector<std::size_t> cuts;
  for (std::size_t rest = total; rest > 0; rest -= cuts.back()) cuts.push_back(rule.cut(rest, bytes_per_s));
  return cuts;
}

TEST(SliceRule, CutsARequestEvenlyIntoSlicesOfOneToTwoUnits) {
  for (const SliceRule& rule : {kTcpSlices, kRdmaSlices}) {
    for (const double speed : {0.1, 0.3, 1.0, 1.7, 5.0, 100.0}) {
      const double bytes_per_s = speed * rule.prior_bytes_per_s();
      const std::size_t unit = rule.unit(bytes_per_s);
      for (const std::size_t total :
           {std::size_t{1}, std::size_t{4096}, unit, unit + 1, 2 * unit - 1, 2 * unit, 9 * unit + 3, 1000 * unit - 1}) {
        SCOPED_TRACE(testing::Message() << total << " bytes in units of " << unit);
        const std::vector<std::size_t> cuts = lengths(rule, total, bytes_per_s);
        EXPECT_EQ(std::accumulate(cuts.begin(), cuts.end(), std::size_t{0}), total);
        const auto [least, most] = std::ranges::minmax(cuts);
        EXPECT_LE(most, std::min(2 * unit, rule.bytes_max));
        // Shares are rounded up to pages, and what they leave is shared again.
        EXPECT_TRUE(cuts.size() == 1 || least + 4096 >= std::min(unit, rule.bytes_max / 2)) << least << " is a stump";
        EXPECT_EQ(cuts.size() == 1, total < 2 * unit && total <= rule.bytes_max);
        for (std::size_t i = 0; i + 1 < cuts.size(); ++i) EXPECT_EQ(cuts[i] % 4096, 0u) << "slices begin at pages";
      }
    }
  }
}

TEST(SliceRule, WhatStaysOnTheHostIsCutIntoOneToTwoMiB) {
  EXPECT_EQ(cut_on_host(1), 1u);
  EXPECT_EQ(cut_on_host(2 * kMiB - 1), 2 * kMiB - 1);
  EXPECT_EQ(cut_on_host(2 * kMiB), kMiB);
  EXPECT_EQ(cut_on_host(64 * kMiB), kMiB);
  EXPECT_EQ(cut_on_host(3 * kMiB - 8192), (3 * kMiB - 8192) / 2);
}

TEST(SliceRule, SlicesTakeTheSameTimeOnRailsOfAnyBandwidth) {
  EXPECT_EQ(kTcpSlices.unit(kTcpSlices.prior_bytes_per_s()), kTcpSlices.bytes);
  EXPECT_EQ(kRdmaSlices.unit(kRdmaSlices.prior_bytes_per_s()), kRdmaSlices.bytes);
  EXPECT_EQ(kRdmaSlices.unit(kRdmaSlices.prior_bytes_per_s() / 2), kRdmaSlices.bytes / 2);
  EXPECT_EQ(kTcpSlices.unit(1.5 * kTcpSlices.prior_bytes_per_s()), kTcpSlices.bytes * 3 / 2);
}

TEST(SliceRule, LengthsStayWithinTheirBounds) {
  for (const SliceRule& rule : {kTcpSlices, kRdmaSlices}) {
    EXPECT_EQ(rule.unit(1e-300), rule.bytes_min);
    EXPECT_EQ(rule.unit(1e300), rule.bytes_max);
    EXPECT_EQ(rule.unit(std::numeric_limits<double>::infinity()), rule.bytes_max);
    EXPECT_LE(rule.bytes_min, rule.bytes);
    EXPECT_LE(rule.bytes, rule.bytes_max);
    EXPECT_LE(rule.bytes_max, kSliceBytesMax) << "no peer takes longer ones for its GPU";
  }
}

}  // namespace
}  // namespace mooncake::transfer
