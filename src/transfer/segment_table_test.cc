#include "transfer/segment_table.h"

#include <gmock/gmock.h>

#include <array>

#include "transfer/file/test_files.h"

namespace mooncake::transfer {
namespace {

class SegmentTableTest : public testing::Test {
 protected:
  static BulkRange range(SegmentHandle segment, std::uint64_t offset, std::uint64_t length) {
    return {segment, offset, length};
  }

  std::array<std::byte, 100> memory_{};
  SegmentTable table_{1000};
};

TEST_F(SegmentTableTest, AccessInsideIsGrantedUpToTheLastByte) {
  const SegmentHandle segment = *table_.add(memory_, MemoryKind::kHost, Access::kReadWrite);
  EXPECT_EQ(table_.acquire(range(segment, 0, 100), Access::kRead)->at, memory_.data());
  EXPECT_EQ(table_.acquire(range(segment, 99, 1), Access::kWrite)->at, memory_.data() + 99);
  EXPECT_EQ(table_.acquire(range(segment, 100, 0), Access::kWrite)->at, memory_.data() + 100);
}

TEST_F(SegmentTableTest, AccessOutsideIsRefusedEvenIfTheSumWrapsAround) {
  const SegmentHandle segment = *table_.add(memory_, MemoryKind::kHost, Access::kReadWrite);
  for (const auto& [offset, length] : std::initializer_list<std::pair<std::uint64_t, std::uint64_t>>{
           {0, 101}, {1, 100}, {100, 1}, {101, 0}, {~0ull, 1}, {~0ull, 2}, {50, ~0ull}, {1, ~0ull}}) {
    EXPECT_EQ(table_.acquire(range(segment, offset, length), Access::kRead).status().code(), Code::kOutOfRange)
        << offset << " " << length;
  }
}

TEST_F(SegmentTableTest, EachRightIsItsOwn) {
  const SegmentHandle read = *table_.add(memory_, MemoryKind::kHost, Access::kRead);
  const SegmentHandle write = *table_.add(memory_, MemoryKind::kHost, Access::kWrite);
  EXPECT_TRUE(table_.acquire(range(read, 0, 1), Access::kRead).ok());
  EXPECT_TRUE(table_.acquire(range(write, 0, 1), Access::kWrite).ok());
  EXPECT_EQ(table_.acquire(range(read, 0, 1), Access::kWrite).status().code(), Code::kPermissionDenied);
  EXPECT_EQ(table_.acquire(range(write, 0, 1), Access::kRead).status().code(), Code::kPermissionDenied);
}

TEST_F(SegmentTableTest, GenerationsAreUsedOnce) {
  const SegmentHandle first = *table_.add(memory_, MemoryKind::kHost, Access::kRead);
  ASSERT_TRUE(table_.revoke(first, {}).ok());
  const SegmentHandle second = *table_.add(memory_, MemoryKind::kHost, Access::kRead);
  EXPECT_EQ(second.index, first.index);
  EXPECT_NE(second.generation, first.generation);
  EXPECT_EQ(table_.acquire(range(first, 0, 1), Access::kRead).status().code(), Code::kStale);
  EXPECT_EQ(table_.revoke(first, {}).code(), Code::kStale);
  EXPECT_TRUE(table_.acquire(range(second, 0, 1), Access::kRead).ok());
}

TEST_F(SegmentTableTest, DoneComesWithTheLastRelease) {
  const SegmentHandle segment = *table_.add(memory_, MemoryKind::kHost, Access::kRead);
  ASSERT_TRUE(table_.acquire(range(segment, 0, 1), Access::kRead).ok());
  ASSERT_TRUE(table_.acquire(range(segment, 0, 1), Access::kRead).ok());
  bool done = false;
  ASSERT_TRUE(table_.revoke(segment, [&] { done = true; }).ok());
  EXPECT_EQ(table_.acquire(range(segment, 0, 1), Access::kRead).status().code(), Code::kStale);
  EXPECT_EQ(table_.revoke(segment, {}).code(), Code::kStale);
  table_.release(segment);
  EXPECT_FALSE(done);
  // The slot is not used again while somebody holds the memory.
  EXPECT_NE(table_.add(memory_, MemoryKind::kHost, Access::kRead)->index, segment.index);
  table_.release(segment);
  EXPECT_TRUE(done);
}

TEST_F(SegmentTableTest, LocalUseHoldsEverySegmentThatSharesBytes) {
  const ByteSpan all(memory_);
  const SegmentHandle whole = *table_.add(all, MemoryKind::kHost, Access::kNone);
  const SegmentHandle overlap = *table_.add(all.subspan(40, 20), MemoryKind::kHost, Access::kNone);
  const SegmentHandle apart = *table_.add(all.last(10), MemoryKind::kHost, Access::kNone);
  std::vector<SegmentHandle> held;
  ASSERT_TRUE(table_.acquire_local(all.first(50), held).ok());
  ASSERT_TRUE(table_.acquire_local(all.first(10), held).ok());  // nothing more to hold
  EXPECT_EQ(held, (std::vector<SegmentHandle>{whole, overlap}));
  bool whole_done = false;
  bool overlap_done = false;
  bool apart_done = false;
  ASSERT_TRUE(table_.revoke(whole, [&] { whole_done = true; }).ok());
  ASSERT_TRUE(table_.revoke(overlap, [&] { overlap_done = true; }).ok());
  ASSERT_TRUE(table_.revoke(apart, [&] { apart_done = true; }).ok());
  EXPECT_TRUE(apart_done);
  EXPECT_FALSE(whole_done || overlap_done);
  for (const SegmentHandle segment : held) table_.release(segment);
  EXPECT_TRUE(whole_done && overlap_done);
}

TEST_F(SegmentTableTest, LocalRangeMustLieInOneSegment) {
  const ByteSpan all(memory_);
  const SegmentHandle left = *table_.add(all.first(50), MemoryKind::kHost, Access::kNone);
  static_cast<void>(*table_.add(all.last(50), MemoryKind::kHost, Access::kNone));
  std::vector<SegmentHandle> held;
  EXPECT_EQ(table_.acquire_local(all, held).status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(held.empty());
  bool done = false;
  ASSERT_TRUE(table_.revoke(left, [&] { done = true; }).ok());
  EXPECT_TRUE(done);  // the refused range holds nothing
  EXPECT_EQ(table_.acquire_local(all.first(10), held).status().code(), Code::kInvalidArgument);
}

TEST_F(SegmentTableTest, EverySegmentThatSharesBytesIsHeldAmongManyThatDoNot) {
  std::vector<std::byte> arena(1u << 20);
  std::vector<SegmentHandle> landings;
  for (std::size_t at = 0; at < arena.size(); at += 256) {
    landings.push_back(*table_.add(ByteSpan(arena).subspan(at, 256), MemoryKind::kHost, Access::kNone));
  }
  const SegmentHandle whole = *table_.add(arena, MemoryKind::kHost, Access::kNone);
  std::vector<SegmentHandle> held;
  ASSERT_TRUE(table_.acquire_local(ByteSpan(arena).subspan(256 * 7 + 255, 258), held).ok());
  EXPECT_THAT(held, testing::UnorderedElementsAre(whole, landings[7], landings[8], landings[9]));
  for (const SegmentHandle segment : held) table_.release(segment);
  ASSERT_TRUE(table_.revoke(landings[8], [] {}).ok());
  held.clear();
  ASSERT_TRUE(table_.acquire_local(ByteSpan(arena).subspan(256 * 8, 256), held).ok());
  EXPECT_THAT(held, testing::ElementsAre(whole)) << "one that is revoked is not held again";
}

TEST_F(SegmentTableTest, MemoryIsRegisteredWithADeviceAsPartOfTheLongestSegmentAroundIt) {
  const ByteSpan all(memory_);
  static_cast<void>(*table_.add(all.first(20), MemoryKind::kHost, Access::kNone));
  const SegmentHandle whole = *table_.add(all, MemoryKind::kHost, Access::kNone);
  static_cast<void>(*table_.add(all.first(30), MemoryKind::kHost, Access::kNone));
  const auto area = table_.area_of(all.first(10));
  ASSERT_TRUE(area.has_value());
  EXPECT_EQ(area->segment, whole);
  EXPECT_EQ(area->memory.size(), all.size());
  ASSERT_TRUE(table_.revoke(whole, [] {}).ok());
  EXPECT_EQ(table_.area_of(all.first(10))->memory.size(), 30u);
  EXPECT_FALSE(table_.area_of(all.last(10)).has_value());
}

TEST_F(SegmentTableTest, NumberOfSegmentsIsLimited) {
  for (std::size_t i = 0; i < kSegmentsMax; ++i)
    ASSERT_TRUE(table_.add(memory_, MemoryKind::kHost, Access::kNone).ok());
  EXPECT_EQ(table_.add(memory_, MemoryKind::kHost, Access::kNone).status().code(), Code::kExhausted);
  EXPECT_EQ(table_.add({}, MemoryKind::kHost, Access::kNone).status().code(), Code::kInvalidArgument);
}

class FileSegmentTest : public SegmentTableTest {
 protected:
  SegmentHandle add(bool writable) {
    const std::string path = folder_.file("a", noise(100, 1));
    return *table_.add_file(*OpenFile::open(path, {.writable = writable, .bytes = 0}));
  }

  TempFolder folder_;
};

TEST_F(FileSegmentTest, OnlyTheEngineItselfGetsAtAFile) {
  const SegmentHandle file = add(true);
  const SegmentHandle memory = *table_.add(memory_, MemoryKind::kHost, Access::kReadWrite);
  EXPECT_TRUE(table_.is_file(file));
  EXPECT_FALSE(table_.is_file(memory));
  EXPECT_FALSE(table_.is_file({}));
  EXPECT_EQ(table_.acquire(range(file, 0, 1), Access::kRead).status().code(), Code::kPermissionDenied);
  EXPECT_EQ(table_.acquire_file(range(memory, 0, 1), Access::kRead).status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(table_.acquire_file(range(file, 0, 100), Access::kWrite).ok());
  EXPECT_EQ(table_.acquire_file(range(file, 1, 100), Access::kRead).status().code(), Code::kOutOfRange);
  EXPECT_EQ(table_.acquire_file(range(add(false), 0, 1), Access::kWrite).status().code(), Code::kPermissionDenied);
}

TEST_F(FileSegmentTest, FileIsClosedAfterTheLastUseAndBeforeItsOwnerIsTold) {
  const SegmentHandle file = add(false);
  const int fd = (*table_.acquire_file(range(file, 0, 1), Access::kRead))->fd(false);
  bool closed = false;
  ASSERT_TRUE(table_.revoke(file, [&] { closed = ::fcntl(fd, F_GETFD) < 0; }).ok());
  EXPECT_TRUE(table_.is_file(file));
  EXPECT_EQ(table_.acquire_file(range(file, 0, 1), Access::kRead).status().code(), Code::kStale);
  EXPECT_FALSE(closed);
  table_.release(file);
  EXPECT_TRUE(closed);
  EXPECT_FALSE(table_.is_file(file));
}

TEST_F(FileSegmentTest, FileIsNoLocalMemory) {
  static_cast<void>(add(false));
  std::vector<SegmentHandle> held;
  const auto* low = reinterpret_cast<const std::byte*>(std::uintptr_t{8});
  EXPECT_EQ(table_.acquire_local({low, 8}, held).status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(held.empty());
}

}  // namespace
}  // namespace mooncake::transfer
