#include "cli/bench_transfer/iperf3.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "cli/scratch_dir.h"

namespace mooncake::cli {
namespace {

/// What iperf3 3.12 prints, without its intervals.
constexpr std::string_view kPrinted = R"({
  "start": {"version": "iperf 3.12"},
  "intervals": [],
  "end": {
    "sum_sent": {"seconds": 1.004452, "bytes": 2592079872, "bits_per_second": 20644728644.076572},
    "sum_received": {"seconds": 1.004545, "bytes": 2585394670, "bits_per_second": 20000000000},
    "cpu_utilization_percent": {"host_total": 46.5, "host_user": 0.2, "remote_total": 33.5}
  }
})";

TEST(Iperf3, RateIsWhatArrivedAndCpuTimeIsOfBothSides) {
  const auto result = parse_iperf3(kPrinted);
  ASSERT_TRUE(result.ok()) << result.status().to_string();
  EXPECT_DOUBLE_EQ(result->gb_per_s, 2.5);
  EXPECT_DOUBLE_EQ(result->cpu_s_per_gb, 0.8 / 2.5);
}

TEST(Iperf3, ItsOwnErrorIsPassedOn) {
  const auto result = parse_iperf3(R"({"start": {}, "intervals": [], "end": {},
                                       "error": "unable to connect to server: Connection refused"})");
  EXPECT_EQ(result.status().code(), Code::kUnavailable);
  EXPECT_NE(result.status().message().find("Connection refused"), std::string::npos);
}

TEST(Iperf3, WhatItNeverPrintsIsCorrupt) {
  for (const std::string_view text :
       {"", "iperf3: command not found", "[]", "{}", R"({"end": 1})", R"({"end": {"sum_received": []}})",
        R"({"end": {"sum_received": {"bits_per_second": "fast"}}})", R"({"end": {"sum_received": {"bits_per_second": 0},
            "cpu_utilization_percent": {"host_total": 1, "remote_total": 1}}})",
        R"({"end": {"sum_received": {"bits_per_second": 5}}})"}) {
    EXPECT_EQ(parse_iperf3(text).status().code(), Code::kCorrupt) << text;
  }
}

TEST(Iperf3, ProgramIsTheFirstExecutableInThePath) {
  const ScratchDir scratch;
  for (const char* folder : {"/a", "/b", "/c"}) ASSERT_EQ(::mkdir((scratch.path() + folder).c_str(), 0755), 0);
  for (const char* file : {"/a/iperf3", "/b/iperf3", "/c/iperf3"})
    std::ofstream(scratch.path() + file) << "#!/bin/sh\n";
  ASSERT_EQ(::chmod((scratch.path() + "/b/iperf3").c_str(), 0755), 0);
  ASSERT_EQ(::chmod((scratch.path() + "/c/iperf3").c_str(), 0755), 0);
  const std::string& path = scratch.path();
  EXPECT_EQ(*find_program("iperf3", ":" + path + "/none:" + path + "/a:" + path + "/b:" + path + "/c"),
            path + "/b/iperf3");
  for (const std::string& nowhere : {std::string(), std::string(":"), path}) {
    const auto missing = find_program("iperf3", nowhere);
    EXPECT_EQ(missing.status().code(), Code::kNotFound);
    EXPECT_EQ(missing.status().message(), "iperf3 is not installed (apt-get install iperf3)");
  }
}

}  // namespace
}  // namespace mooncake::cli
