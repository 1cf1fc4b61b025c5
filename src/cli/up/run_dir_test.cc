#include "cli/up/run_dir.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "cli/scratch_dir.h"

namespace mooncake::cli {
namespace {

namespace fs = std::filesystem;

std::string read(const std::string& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(RunDir, IsCreatedWithItsParents) {
  const ScratchDir scratch;
  auto dir = RunDir::open(scratch.path() + "/a/b");
  ASSERT_TRUE(dir.ok()) << dir.status().to_string();
  EXPECT_TRUE(fs::is_directory(scratch.path() + "/a/b/logs"));
}

TEST(RunDir, SecondOwnerIsRefusedAndToldTheFirstOnesPid) {
  const ScratchDir scratch;
  auto first = RunDir::open(scratch.path());
  ASSERT_TRUE(first.ok());
  auto second = RunDir::open(scratch.path());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), Code::kAlreadyExists);
  EXPECT_NE(second.status().message().find(std::to_string(::getpid())), std::string::npos) << second.status().message();
  EXPECT_NE(second.status().message().find(scratch.path()), std::string::npos);
}

TEST(RunDir, CanBeTakenAgainWhenTheOwnerIsGone) {
  const ScratchDir scratch;
  { auto first = RunDir::open(scratch.path()); }
  EXPECT_TRUE(RunDir::open(scratch.path()).ok());
}

TEST(RunDir, ClusterFileOfAKilledClusterIsRemovedAndOneOfOursEndsWithUs) {
  const ScratchDir scratch;
  std::ofstream(scratch.path() + "/cluster.json") << "stale";
  {
    auto dir = RunDir::open(scratch.path());
    ASSERT_TRUE(dir.ok());
    EXPECT_FALSE(fs::exists(dir->cluster_file()));
    ASSERT_TRUE(dir->write_cluster_file("one").ok());
    ASSERT_TRUE(dir->write_cluster_file("two").ok());
    EXPECT_EQ(read(dir->cluster_file()), "two");
  }
  EXPECT_FALSE(fs::exists(scratch.path() + "/cluster.json"));
}

TEST(RunDir, PathThatCannotBeADirectoryIsNamed) {
  const ScratchDir scratch;
  std::ofstream(scratch.path() + "/file") << "not a directory";
  auto dir = RunDir::open(scratch.path() + "/file/run");
  ASSERT_FALSE(dir.ok());
  EXPECT_EQ(dir.status().code(), Code::kUnavailable);
  EXPECT_NE(dir.status().message().find(scratch.path() + "/file/run"), std::string::npos) << dir.status().message();
}

}  // namespace
}  // namespace mooncake::cli
