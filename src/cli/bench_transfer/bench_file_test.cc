#include "cli/bench_transfer/bench_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>

#include "cli/scratch_dir.h"

namespace mooncake::cli {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

TEST(BenchFile, ItIsWholeOnTheDiskAndOthersCanOpenItThoughTheDirectoryShowsNothing) {
  const ScratchDir scratch;
  const auto file = BenchFile::create(scratch.path(), 4 * kMiB);
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path())) << "nothing is left behind, not even after a crash";
  struct stat info {};
  ASSERT_EQ(::stat(file->path().c_str(), &info), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(info.st_size), file->bytes());
  EXPECT_GE(static_cast<std::uint64_t>(info.st_blocks) * 512, file->bytes()) << "a hole would be read without the disk";
  std::ifstream in(file->path(), std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  ASSERT_EQ(bytes.size(), 4 * kMiB);
  EXPECT_NE(bytes.substr(0, kMiB), bytes.substr(kMiB, kMiB)) << "equal blocks may be stored once";
}

TEST(BenchFile, ItNeverFillsADisk) {
  const ScratchDir scratch;
  const auto file = BenchFile::create(scratch.path(), std::uint64_t{1} << 60);
  EXPECT_EQ(file.status().code(), Code::kExhausted);
  EXPECT_NE(file.status().message().find("MiB free"), std::string::npos) << file.status().message();
}

TEST(BenchFile, DirectoryThatIsNotThereIsNamed) {
  const auto file = BenchFile::create("/nowhere/at/all", kMiB);
  EXPECT_EQ(file.status().code(), Code::kUnavailable);
  EXPECT_NE(file.status().message().find("/nowhere/at/all"), std::string::npos) << file.status().message();
}

}  // namespace
}  // namespace mooncake::cli
