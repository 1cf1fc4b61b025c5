#include "cli/bench_transfer/run_program.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "cli/scratch_dir.h"

namespace mooncake::cli {
namespace {

TEST(RunProgram, ProgramIsTheFirstExecutableInThePath) {
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

TEST(RunProgram, EverythingThatItPrintedIsThereHoweverItEnds) {
  const auto printed = run_program("/bin/sh", {"-c", "echo one; echo two >&2; exit 3"}, Seconds(30));
  ASSERT_TRUE(printed.ok()) << printed.status().to_string();
  EXPECT_EQ(*printed, "one\ntwo\n");
}

TEST(RunProgram, WhatDoesNotEndIsKilledAndNamed) {
  const auto stuck = run_program("/bin/sleep", {"600"}, Millis(1));
  EXPECT_EQ(stuck.status().code(), Code::kDeadlineExceeded);
  EXPECT_EQ(stuck.status().message(), "sleep does not end");
}

}  // namespace
}  // namespace mooncake::cli
