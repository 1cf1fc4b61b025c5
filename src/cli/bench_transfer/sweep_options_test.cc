#include "cli/bench_transfer/sweep_options.h"

#include <gtest/gtest.h>

#include "cli/options.h"

namespace mooncake::cli {
namespace {

Result<SweepPlan> plan_with(std::map<std::string, std::string> flags) {
  const auto config = Config::load(option_table(), {.flags = std::move(flags)});
  CHECK(config.ok());
  return sweep_plan(*config, "bench_transfer", {"mem", "shm", "tcp", "file", "cuda"});
}

TEST(SweepOptions, PlanIsEveryCombinationInBothDirections) {
  const auto plan = plan_with({{"bench_transfer.block_bytes", "4096,65536"},
                               {"bench_transfer.batch", "1,8"},
                               {"bench_transfer.threads", "2"},
                               {"bench_transfer.transports", "tcp"},
                               {"bench_transfer.seconds", "0.25"}});
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  EXPECT_EQ(plan->transports, std::vector<std::string>{"tcp"});
  EXPECT_EQ(plan->cell, Millis(250));
  const std::vector<BulkShape> shapes = plan->shapes();
  ASSERT_EQ(shapes.size(), 2u * 2 * 1 * 2);
  EXPECT_EQ(shapes.front().bytes(), 4096u * 1 * 2);
  EXPECT_EQ(plan->bytes_max(), 65536u * 8 * 2);
  EXPECT_NE(shapes[0].op, shapes[1].op);
}

TEST(SweepOptions, WhatIsNoListOfNumbersIsRefusedWithTheFlagInTheMessage) {
  for (const char* text : {"", ",", "1,", "1,,2", "0", "-1", "1 2", "64k", "99999999999999999999"}) {
    const auto counts = parse_counts("--batch", text, 4096);
    EXPECT_EQ(counts.status().code(), Code::kInvalidArgument) << text;
    EXPECT_NE(counts.status().message().find("--batch"), std::string::npos) << text;
  }
  EXPECT_EQ(parse_counts("--batch", "4097", 4096).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(*parse_counts("--batch", "4096,1", 4096), (std::vector<std::uint64_t>{4096, 1}));
  EXPECT_EQ(parse_counts("--batch", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", 9).status().code(), Code::kInvalidArgument);
}

TEST(SweepOptions, UnknownTransportIsRefusedWithTheKnownOnes) {
  const auto names = parse_names("--transports", "tcp,carrier-pigeon", {"shm", "tcp"});
  EXPECT_EQ(names.status().code(), Code::kInvalidArgument);
  EXPECT_NE(names.status().message().find("shm, tcp"), std::string::npos);
}

TEST(SweepOptions, ShapesThatNeedTooMuchMemoryAreRefused) {
  const auto plan = plan_with({{"bench_transfer.block_bytes", "1073741824"}, {"bench_transfer.batch", "32"}});
  EXPECT_EQ(plan.status().code(), Code::kInvalidArgument);
}

TEST(SweepOptions, SegmentThatIsTooSmallNamesTheOptionThatMakesItLarger) {
  const auto plan = plan_with(
      {{"bench_transfer.block_bytes", "1048576"}, {"bench_transfer.batch", "4"}, {"bench_transfer.threads", "1"}});
  ASSERT_TRUE(plan.ok());
  EXPECT_TRUE(check_room({.segment = {}, .bytes = 4 << 20, .cpu_s = 0}, *plan).ok());
  const Status small = check_room({.segment = {}, .bytes = (4 << 20) - 1, .cpu_s = 0}, *plan);
  EXPECT_EQ(small.code(), Code::kOutOfRange);
  EXPECT_NE(small.message().find("--bytes 4194304"), std::string::npos) << small.message();
}

}  // namespace
}  // namespace mooncake::cli
