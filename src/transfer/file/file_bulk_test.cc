// Files as segments of an engine, on a real file system: the same claims with io_uring and, in a sandbox that forbids
// it, with threads.
#include <gmock/gmock.h>

#include <cstdlib>

#include "transfer/file/test_files.h"
#include "transfer/slice_queue.h"
#include "transfer/test_node.h"

namespace mooncake::transfer {
namespace {

using Op = TransferRequest::Op;
constexpr std::size_t kPage = 4096;

class Files : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam() && !has_io_uring()) GTEST_SKIP() << "this kernel or sandbox has no io_uring";
    node_ = GetParam() ? std::make_unique<TestNode>(config()) : node_without_io_uring(config());
    memory_ = *node()->allocate_shared(24 << 20);
    local_ = *node()->register_memory(memory_, Access::kReadWrite);
  }
  static TransferConfig config() { return {.node_name = "node"}; }

  TestNode& node() { return *node_; }
  ByteSpan memory() { return memory_; }
  PeerHandle self() { return *node()->connect(node()->name()); }
  SegmentHandle add(const std::string& path, FileOptions options = {}) { return *node()->register_file(path, options); }
  Status move(Op op, ByteSpan local, SegmentHandle segment, std::uint64_t offset) {
    const TransferRequest request{.op = op, .local = local, .segment = segment, .offset = offset};
    return node()->submit_and_wait(self(), std::span(&request, 1), soon());
  }
  Later<bool> unregister(SegmentHandle segment) {
    Later<bool> gone;
    EXPECT_TRUE(node()->unregister_memory(segment, [set = gone.setter()] { set(true); }).ok());
    return gone;
  }
  static void fill(ByteSpan memory, std::uint64_t seed) {
    std::memcpy(memory.data(), noise(memory.size(), seed).data(), memory.size());
  }
  static bool same(ConstByteSpan one, ConstByteSpan other) {
    return one.size() == other.size() && std::memcmp(one.data(), other.data(), one.size()) == 0;
  }
  TransferStats stats() { return total(node(), {}, "file"); }

  TempFolder folder_;
  std::unique_ptr<TestNode> node_;
  ByteSpan memory_;
  SegmentHandle local_;
};

INSTANTIATE_TEST_SUITE_P(Queues, Files, testing::Values(true, false),
                         [](const testing::TestParamInfo<bool>& ring) { return ring.param ? "ring" : "threads"; });

TEST_P(Files, UseIoUringWhereItIsAllowedAndThreadsElsewhere) {
  const int before = rings_open();
  const SegmentHandle file = add(folder_.file("a"), {.writable = true, .bytes = kPage});
  EXPECT_EQ(rings_open(), before);
  ASSERT_TRUE(move(Op::kWrite, memory().first(kPage), file, 0).ok());
  EXPECT_EQ(rings_open(), before + (GetParam() ? 1 : 0));
  node().destroy_engine();
  EXPECT_EQ(rings_open(), before);
}

TEST_P(Files, BytesArriveInBothDirectionsAtAllCornersOfAlignment) {
  constexpr std::size_t kFile = 6 << 20;
  std::vector<std::byte> expected = noise(kFile, 1);
  const std::string path = folder_.file("a", expected);
  const SegmentHandle file = add(path, {.writable = true, .bytes = 0});
  std::uint64_t seed = 2;
  std::uint64_t moved = 0;
  for (const std::size_t shift : {std::size_t{0}, std::size_t{1}, std::size_t{512}, kPage - 1}) {
    for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{512}, std::uint64_t{kPage}}) {
      for (const std::size_t bytes : {std::size_t{1}, std::size_t{511}, std::size_t{512}, kPage, kPage + 1,
                                      std::size_t{1} << 20, (std::size_t{5} << 20) + 3}) {
        const ByteSpan local = memory().subspan(shift, bytes);
        fill(local, ++seed);
        ASSERT_TRUE(move(Op::kWrite, local, file, offset).ok()) << shift << " " << offset << " " << bytes;
        std::memcpy(expected.data() + offset, local.data(), bytes);
        std::memset(memory().data(), 0xee, shift + bytes + kPage);
        ASSERT_TRUE(move(Op::kRead, local, file, offset).ok()) << shift << " " << offset << " " << bytes;
        ASSERT_TRUE(same(local, std::span(expected).subspan(offset, bytes))) << shift << " " << offset << " " << bytes;
        ASSERT_EQ(local.data()[bytes], std::byte{0xee});
        ASSERT_TRUE(shift == 0 || local.data()[-1] == std::byte{0xee});
        moved += bytes;
      }
    }
  }
  EXPECT_TRUE(same(content_of(path), expected));
  EXPECT_EQ(stats().bytes_sent, moved);
  EXPECT_EQ(stats().bytes_received, moved);
  EXPECT_EQ(stats().peer, "node");
}

TEST_P(Files, RangesBeyondTheEndAreRefusedAndTouchNothing) {
  const std::vector<std::byte> before = noise(2 * kPage, 1);
  const std::string path = folder_.file("a", before);
  const SegmentHandle file = add(path, {.writable = true, .bytes = kPage});
  const ByteSpan local = memory().first(kPage);
  fill(local, 2);
  for (const std::uint64_t offset : {std::uint64_t{1}, std::uint64_t{kPage}, ~std::uint64_t{0} - kPage}) {
    EXPECT_EQ(move(Op::kWrite, local, file, offset).code(), Code::kOutOfRange) << offset;
    EXPECT_EQ(move(Op::kRead, local, file, offset).code(), Code::kOutOfRange) << offset;
  }
  EXPECT_TRUE(same(content_of(path), before));
  EXPECT_TRUE(same(local, noise(kPage, 2)));
  EXPECT_EQ(stats().slices_failed, 6u);
  ASSERT_EQ(node()->batch_stats().size(), 1u);
  EXPECT_EQ(node()->batch_stats()[0].batches_failed, 6u);
}

TEST_P(Files, FileThatWasRegisteredToBeReadIsNotWritten) {
  const std::vector<std::byte> before = noise(kPage, 1);
  const std::string path = folder_.file("a", before);
  const SegmentHandle file = add(path);
  fill(memory().first(kPage), 2);
  EXPECT_EQ(move(Op::kWrite, memory().first(kPage), file, 0).code(), Code::kPermissionDenied);
  EXPECT_TRUE(move(Op::kRead, memory().subspan(kPage, kPage), file, 0).ok());
  EXPECT_TRUE(same(memory().subspan(kPage, kPage), before));
  EXPECT_TRUE(same(content_of(path), before));
}

TEST_P(Files, LocalMemoryMustBeRegistered) {
  const SegmentHandle file = add(folder_.file("a", noise(kPage, 1)));
  std::vector<std::byte> loose(kPage);
  EXPECT_EQ(move(Op::kRead, loose, file, 0).code(), Code::kInvalidArgument);
  EXPECT_TRUE(same(loose, std::vector<std::byte>(kPage)));
}

TEST_P(Files, UnregisteredFileIsStaleAndClosed) {
  const std::string path = folder_.file("a", noise(kPage, 1));
  const SegmentHandle file = add(path);
  EXPECT_TRUE(unregister(file).get());
  EXPECT_EQ(move(Op::kRead, memory().first(kPage), file, 0).code(), Code::kStale);
  EXPECT_EQ(node()->unregister_memory(file, {}).code(), Code::kStale);
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    EXPECT_NE(std::filesystem::read_symlink(entry.path(), gone).string(), std::filesystem::canonical(path).string());
  }
}

TEST_P(Files, UnregisteringUnderTrafficLetsNothingThroughAfterwards) {
  const std::string path = folder_.file("a", noise(16 << 20, 1));
  const ByteSpan local = memory().first(16 << 20);
  for (int round = 0; round < 12; ++round) {
    const SegmentHandle file = add(path, {.writable = true, .bytes = 0});
    const Op op = round % 2 == 0 ? Op::kRead : Op::kWrite;
    const TransferRequest request{.op = op, .local = local, .segment = file, .offset = 0};
    Later<Status> done;
    node()->submit(self(), std::span(&request, 1), soon(), std::nullopt, done.setter());
    for (int spin = 0; spin < round * 20; ++spin) std::this_thread::yield();
    EXPECT_TRUE(unregister(file).get());
    const std::vector<std::byte> after = content_of(path);
    const Status status = done.get();
    EXPECT_TRUE(status.ok() || status.code() == Code::kStale) << status.to_string();
    EXPECT_TRUE(same(content_of(path), after));
    fill(local, static_cast<std::uint64_t>(round) + 50);
  }
}

TEST_P(Files, CancelledAndLateBatchesCallBackOnceAndGiveTheirMemoryBack) {
  const ByteSpan local = memory().first(16 << 20);
  const std::string path = folder_.file("a", noise(local.size(), 1));
  const SegmentHandle file = add(path, {.writable = true, .bytes = 0});
  for (int round = 0; round < 24; ++round) {
    const TransferRequest request{
        .op = round % 2 == 0 ? Op::kRead : Op::kWrite, .local = local, .segment = file, .offset = 0};
    std::atomic<int> calls{0};
    Later<Status> done;
    const Deadline deadline = round % 3 == 0 ? in(Millis(round / 3)) : soon();
    const Batch batch =
        node()->submit(self(), std::span(&request, 1), deadline, std::nullopt, [&, set = done.setter()](Status status) {
          ++calls;
          set(std::move(status));
        });
    for (int spin = 0; spin < round * 20; ++spin) std::this_thread::yield();
    if (round % 3 != 0) node()->cancel(batch);
    const Status status = done.get();
    EXPECT_TRUE(status.ok() || status.code() == (round % 3 == 0 ? Code::kDeadlineExceeded : Code::kCancelled))
        << status.to_string();
    std::memset(local.data(), 0xee, local.size());  // it is ours again: a late read would show
    node().drain();
    EXPECT_EQ(calls.load(), 1);
    EXPECT_TRUE(std::memcmp(local.data(), local.data() + 1, local.size() - 1) == 0 && local[0] == std::byte{0xee});
  }
  ASSERT_TRUE(unregister(local_).get());  // nothing holds the memory any more
}

TEST_P(Files, ManyBatchesAtOnceAllArrive) {
  constexpr std::size_t kBatches = 300;
  constexpr std::size_t kEach = 64 << 10;
  const std::string path = folder_.file("a");
  const SegmentHandle file = add(path, {.writable = true, .bytes = kBatches * kEach});
  const ByteSpan local = memory().first(kBatches * kEach);
  fill(local, 5);
  // Every third is one byte shorter, so that direct and buffered writes to one file alternate.
  const auto bytes_of = [](std::size_t i) { return i % 3 == 0 ? kEach - 1 : kEach; };
  for (const Op op : {Op::kWrite, Op::kRead}) {
    if (op == Op::kRead) std::memset(local.data(), 0, local.size());
    std::vector<Later<Status>> done(kBatches);
    for (std::size_t i = 0; i < kBatches; ++i) {
      const TransferRequest request{
          .op = op, .local = local.subspan(i * kEach, bytes_of(i)), .segment = file, .offset = i * kEach};
      node()->submit(self(), std::span(&request, 1), soon(), std::nullopt, done[i].setter());
    }
    for (auto& each : done) EXPECT_TRUE(each.get().ok());
    const std::vector<std::byte> expected = noise(local.size(), 5);
    const std::vector<std::byte> found = content_of(path);
    for (std::size_t i = 0; i < kBatches; ++i) {
      const auto range = [&](ConstByteSpan all) { return all.subspan(i * kEach, bytes_of(i)); };
      EXPECT_TRUE(same(range(found), range(expected))) << i;
      EXPECT_TRUE(same(range(local), range(expected))) << i;
    }
  }
}

TEST_P(Files, FileThatWasTruncatedEndsTheReadWithItsError) {
  const std::string path = folder_.file("a", noise(4 << 20, 1));
  const SegmentHandle file = add(path, {.writable = true, .bytes = 0});
  for (const std::size_t left : {std::size_t{1} << 20, (std::size_t{1} << 20) + 700, std::size_t{0}}) {
    ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(left)), 0);
    const Status status = move(Op::kRead, memory().first(4 << 20), file, 0);
    EXPECT_EQ(status.code(), Code::kOutOfRange);
    EXPECT_THAT(status.message(), testing::AllOf(testing::HasSubstr(path), testing::HasSubstr("truncated")));
  }
  EXPECT_TRUE(move(Op::kWrite, memory().first(4 << 20), file, 0).ok());
  EXPECT_TRUE(same(content_of(path), memory().first(4 << 20)));
}

TEST_P(Files, PeersAreRefusedAndTouchNothing) {
  const std::vector<std::byte> before = noise(kPage, 1);
  const std::string path = folder_.file("a", before);
  const SegmentHandle file = add(path, {.writable = true, .bytes = 0});
  for (const bool shm : {true, false}) {
    TestNode other({.node_name = "other", .enable_shm = shm});
    const ByteSpan theirs = *other->allocate_shared(kPage);
    static_cast<void>(*other->register_memory(theirs, Access::kReadWrite));
    for (const Op op : {Op::kRead, Op::kWrite}) {
      const TransferRequest request{.op = op, .local = theirs, .segment = file, .offset = 0};
      const Status status = other->submit_and_wait(other.peer(node()), std::span(&request, 1), soon());
      EXPECT_EQ(status.code(), Code::kPermissionDenied) << status.to_string();
      EXPECT_THAT(status.message(), testing::HasSubstr("files are moved by their own engine"));
    }
    EXPECT_TRUE(same(theirs, std::vector<std::byte>(kPage)));
  }
  EXPECT_TRUE(same(content_of(path), before));
}

TEST_P(Files, NotifyComesAfterTheLastByteIsInTheFile) {
  const std::string path = folder_.file("a");
  const SegmentHandle file = add(path, {.writable = true, .bytes = 4 << 20});
  fill(memory().first(4 << 20), 9);
  Later<bool> seen;
  node()->serve(77, [&, set = seen.setter()](PeerHandle, std::string, Responder) {
    set(same(content_of(path), memory().first(4 << 20)));
  });
  const TransferRequest request{.op = Op::kWrite, .local = memory().first(4 << 20), .segment = file, .offset = 0};
  Later<Status> done;
  node()->submit(self(), std::span(&request, 1), soon(), Notify{77, ""}, done.setter());
  EXPECT_TRUE(done.get().ok());
  EXPECT_TRUE(seen.get());
}

TEST_P(Files, EngineMayEndInTheMiddle) {
  const std::string path = folder_.file("a", noise(16 << 20, 1));
  const SegmentHandle file = add(path);
  std::vector<Later<Status>> done(8);
  for (auto& each : done) {
    const TransferRequest request{.op = Op::kRead, .local = memory().first(16 << 20), .segment = file, .offset = 0};
    node()->submit(self(), std::span(&request, 1), soon(), std::nullopt, each.setter());
  }
  node().destroy_engine();
  for (auto& each : done) {
    const Status status = each.get();
    EXPECT_TRUE(status.ok() || status.code() == Code::kCancelled) << status.to_string();
  }
}

TEST_P(Files, PoolsComeAndGoUnderRegisteredBuffers) {
  const std::vector<std::byte> content = noise(4 << 20, 3);
  const SegmentHandle file = add(folder_.file("a", content));
  for (int round = 0; round < 5; ++round) {  // mostly at the same address
    const ByteSpan pool = *node()->allocate_shared(12 << 20);
    const SegmentHandle segment = *node()->register_memory(pool, Access::kNone);
    // Inside a chunk of registered memory, and across two.
    for (const std::size_t at : {std::size_t{0}, std::size_t{6} << 20, std::size_t{8} << 20}) {
      ASSERT_TRUE(move(Op::kRead, pool.subspan(at, 4 << 20), file, 0).ok());
      EXPECT_TRUE(same(pool.subspan(at, 4 << 20), content));
    }
    ASSERT_TRUE(unregister(segment).get());
    node()->free_shared(pool);
  }
}

}  // namespace
}  // namespace mooncake::transfer
