#include "transfer/rail/slice_rule.h"

#include <gtest/gtest.h>

#include <limits>

namespace mooncake::transfer {
namespace {

constexpr std::size_t kMiB = 1u << 20;

TEST(SliceBytes, CutsEvenlyIntoSlicesOfOneToTwoUnits) {
  for (const std::size_t unit : {std::size_t{64} << 10, kMiB, 2 * kMiB}) {
    for (const std::size_t total :
         {std::size_t{1}, std::size_t{4096}, unit, unit + 1, 2 * unit - 1, 2 * unit, 9 * unit + 3, 1000 * unit - 1}) {
      std::size_t rest = total;
      std::size_t last = 0;
      while (rest > 0) {
        last = slice_bytes(rest, unit);
        ASSERT_LE(last, 2 * unit);
        ASSERT_TRUE(last == total || last >= unit || last == rest) << "a stump before the end";
        ASSERT_EQ((total - rest) % 4096, 0u) << "slices begin at pages";
        rest -= last;
      }
      EXPECT_TRUE(last == total || last + 4096 >= unit) << "no stump at the end of " << total;
      if (total < 2 * unit) {
        EXPECT_EQ(slice_bytes(total, unit), total);
      }
    }
  }
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
  }
}

}  // namespace
}  // namespace mooncake::transfer
