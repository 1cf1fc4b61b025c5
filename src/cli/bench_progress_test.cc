#include "cli/bench_progress.h"

#include <gtest/gtest.h>

#include <limits>

namespace mooncake::cli {
namespace {

TEST(BenchProgress, BarFillsFromLeftToRight) {
  EXPECT_EQ(progress_bar(0, 10, "start"), "[----------]   0 %  start");
  EXPECT_EQ(progress_bar(0.5, 10, "3 of 6"), "[#####-----]  50 %  3 of 6");
  EXPECT_EQ(progress_bar(1, 10, "end"), "[##########] 100 %  end");
}

TEST(BenchProgress, FractionsOutsideAreClamped) {
  EXPECT_EQ(progress_bar(-1, 4, ""), "[----]   0 %  ");
  EXPECT_EQ(progress_bar(7, 4, ""), "[####] 100 %  ");
  EXPECT_EQ(progress_bar(std::numeric_limits<double>::quiet_NaN(), 4, ""), "[----]   0 %  ");
}

}  // namespace
}  // namespace mooncake::cli
