#include "transfer/file/open_file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "transfer/file/test_files.h"

namespace mooncake::transfer {
namespace {

constexpr std::size_t kPage = 4096;

class OpenFileTest : public testing::Test {
 protected:
  static Code code(const std::string& path, FileOptions options = {}) {
    return OpenFile::open(path, options).status().code();
  }

  TempFolder folder_;
};

TEST_F(OpenFileTest, SegmentIsAsLongAsTheFileOrAsWasAsked) {
  const std::string path = folder_.file("a", noise(10'000, 1));
  EXPECT_EQ((*OpenFile::open(path, {}))->bytes(), 10'000u);
  EXPECT_EQ((*OpenFile::open(path, {.writable = false, .bytes = 5000}))->bytes(), 5000u);
  EXPECT_EQ((*OpenFile::open(path, {.writable = true, .bytes = 5000}))->bytes(), 5000u);
  EXPECT_EQ(content_of(path), noise(10'000, 1));
}

TEST_F(OpenFileTest, WritableFileIsMadeForItsOwnerOrExtendedWithZeros) {
  const std::string fresh = folder_.file("fresh");
  EXPECT_EQ((*OpenFile::open(fresh, {.writable = true, .bytes = 10'000}))->bytes(), 10'000u);
  EXPECT_EQ(content_of(fresh), std::vector<std::byte>(10'000));
  struct stat now {};
  ASSERT_EQ(::stat(fresh.c_str(), &now), 0);
  EXPECT_EQ(now.st_mode & 0777, 0600u);
  const std::string short_one = folder_.file("short", noise(100, 1));
  ASSERT_TRUE(OpenFile::open(short_one, {.writable = true, .bytes = 300}).ok());
  std::vector<std::byte> expected = noise(100, 1);
  expected.resize(300);
  EXPECT_EQ(content_of(short_one), expected);
}

TEST_F(OpenFileTest, WhatCannotBeASegmentIsRefusedWithItsReason) {
  EXPECT_EQ(code(folder_.file("missing")), Code::kNotFound);
  EXPECT_EQ(code(folder_.file("missing"), {.writable = true, .bytes = 0}), Code::kNotFound);
  EXPECT_EQ(code(folder_.file("missing"), {.writable = false, .bytes = 9}), Code::kNotFound);
  EXPECT_EQ(code(folder_.file("no") + "/folder", {.writable = true, .bytes = 9}), Code::kNotFound);
  EXPECT_EQ(code(""), Code::kNotFound);
  EXPECT_EQ(code(folder_.path()), Code::kInvalidArgument);
  EXPECT_EQ(code("/dev/null"), Code::kInvalidArgument);
  const std::string pipe = folder_.file("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(code(pipe), Code::kInvalidArgument);  // and does not wait for a writer
  const std::string short_one = folder_.file("short", noise(100, 1));
  EXPECT_EQ(code(short_one, {.writable = false, .bytes = 101}), Code::kInvalidArgument);
  EXPECT_EQ(code(short_one, {.writable = true, .bytes = ~std::uint64_t{0}}), Code::kInvalidArgument);
  std::ofstream(folder_.file("empty")).flush();
  EXPECT_EQ(code(folder_.file("empty")), Code::kInvalidArgument);
  EXPECT_THAT(OpenFile::open(short_one, {.writable = false, .bytes = 101}).status().message(),
              testing::AllOf(testing::HasSubstr(short_one), testing::HasSubstr("100"), testing::HasSubstr("101")));
}

TEST_F(OpenFileTest, FileOfSomebodyElseIsRefused) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may open everything";
  const std::string path = folder_.file("a", noise(100, 1));
  ASSERT_EQ(::chmod(path.c_str(), 0400), 0);
  EXPECT_EQ(code(path, {.writable = true, .bytes = 0}), Code::kPermissionDenied);
}

TEST_F(OpenFileTest, OnlyAlignedAccessPassesThePageCache) {
  const auto file = *OpenFile::open(folder_.file("a", noise(64 * kPage, 1)), {});
  const std::unique_ptr<std::byte, decltype(&std::free)> owned(
      static_cast<std::byte*>(std::aligned_alloc(kPage, 4 * kPage)), &std::free);
  const ByteSpan memory(owned.get(), 4 * kPage);
  if (!file->fits_direct(memory, 0)) GTEST_SKIP() << "the file system of " << folder_.path() << " has no O_DIRECT";
  EXPECT_TRUE(file->fits_direct(memory.first(kPage), kPage));
  EXPECT_FALSE(file->fits_direct(memory.subspan(1, kPage), 0));
  EXPECT_FALSE(file->fits_direct(memory.first(kPage), 1));
  EXPECT_FALSE(file->fits_direct(memory.first(kPage - 1), 0));
  EXPECT_NE(file->fd(true), file->fd(false));
  EXPECT_NE(::fcntl(file->fd(true), F_GETFL) & O_DIRECT, 0);
  EXPECT_EQ(::fcntl(file->fd(false), F_GETFL) & O_DIRECT, 0);
}

TEST_F(OpenFileTest, OneFileHasOneIdByWhateverPath) {
  const std::string path = folder_.file("a", noise(100, 1));
  std::filesystem::create_hard_link(path, folder_.file("b"));
  const auto first = *OpenFile::open(path, {});
  EXPECT_EQ(first->id(), (*OpenFile::open(folder_.file("b"), {}))->id());
  EXPECT_NE(first->id(), (*OpenFile::open(folder_.file("c", noise(100, 1)), {}))->id());
}

}  // namespace
}  // namespace mooncake::transfer
