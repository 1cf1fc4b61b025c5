#include "cli/bench_transfer/fio.h"

#include <gtest/gtest.h>

namespace mooncake::cli {
namespace {

using Op = transfer::TransferRequest::Op;

/// What fio 3.33 prints, shortened; times in ms, CPU in per cent of `job_runtime`.
constexpr std::string_view kPrinted = R"({
  "fio version" : "fio-3.33",
  "jobs" : [
    {
      "jobname" : "mooncake",
      "error" : 0,
      "read" : {"io_bytes" : 2000000000, "bw_bytes" : 1250000000, "runtime" : 1600},
      "write" : {"io_bytes" : 0, "bw_bytes" : 0, "runtime" : 0},
      "job_runtime" : 1600,
      "usr_cpu" : 2.5,
      "sys_cpu" : 7.5
    }
  ],
  "disk_util" : []
})";

std::string with(std::string_view old, std::string_view now) {
  std::string text(kPrinted);
  return text.replace(text.find(old), old.size(), now);
}

TEST(Fio, RateIsThatOfTheDirectionAndCpuTimeIsOfTheWholeJob) {
  const auto result = parse_fio(kPrinted, Op::kRead);
  ASSERT_TRUE(result.ok()) << result.status().to_string();
  EXPECT_DOUBLE_EQ(result->gb_per_s, 1.25);
  EXPECT_DOUBLE_EQ(result->cpu_s_per_gb, 0.1 * 1.6 / 2);
  EXPECT_EQ(parse_fio(kPrinted, Op::kWrite).status().code(), Code::kCorrupt) << "nothing was written";
}

TEST(Fio, WarningsBeforeTheJsonAreNoFailure) {
  const auto result = parse_fio("fio: a device is slow to answer\n" + std::string(kPrinted), Op::kRead);
  ASSERT_TRUE(result.ok()) << result.status().to_string();
  EXPECT_DOUBLE_EQ(result->gb_per_s, 1.25);
}

TEST(Fio, ItsOwnErrorIsPassedOn) {
  const std::string failed = with("\"error\" : 0", "\"error\" : 22");
  const auto said =
      parse_fio("fio: pid=1, err=22/file:engines/io_uring.c:1, error=Invalid argument\n" + failed, Op::kRead);
  EXPECT_EQ(said.status().code(), Code::kUnavailable);
  EXPECT_EQ(said.status().message(), "fio: pid=1, err=22/file:engines/io_uring.c:1, error=Invalid argument");
  EXPECT_EQ(parse_fio(failed, Op::kRead).status().message(), "fio: error 22");
  const auto no_json = parse_fio("fio: engine io_uring not loadable\nfio: failed to load engine\n", Op::kRead);
  EXPECT_EQ(no_json.status().message(), "fio: engine io_uring not loadable");
  EXPECT_EQ(parse_fio("Segmentation fault\n", Op::kRead).status().message(), "fio: Segmentation fault");
}

TEST(Fio, WhatItNeverPrintsIsCorrupt) {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("{}"), std::string(R"({"jobs": []})"),
        std::string(R"({"jobs": [1]})"), with("1250000000", "\"fast\""), with("2000000000", "0"),
        with("\"usr_cpu\" : 2.5", "\"usr_cpu\" : -1"), with("\"job_runtime\" : 1600", "\"job_runtime\" : 0"),
        with("\"sys_cpu\"", "\"cpu\"")}) {
    EXPECT_EQ(parse_fio(text, Op::kRead).status().code(), Code::kCorrupt) << text;
  }
}

}  // namespace
}  // namespace mooncake::cli
