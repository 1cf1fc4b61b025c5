// Both queues, by themselves, on a real file: the same claims.
#include "transfer/file/file_queue.h"

#include <gmock/gmock.h>

#include "transfer/file/ring_queue.h"
#include "transfer/file/test_files.h"
#include "transfer/file/thread_queue.h"

namespace mooncake::transfer {
namespace {

constexpr std::size_t kEach = 64 << 10;

class Queues : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam() && !has_io_uring()) GTEST_SKIP() << "this kernel or sandbox has no io_uring";
    loop_->start();
    on_loop([this] {
      const FileQueue::Completed completed = [this](std::uint64_t id, std::int64_t moved) {
        EXPECT_TRUE(loop_->is_current());
        EXPECT_FALSE(inside_);
        EXPECT_TRUE(moved_.emplace(id, moved).second) << "completed twice";
      };
      if (GetParam()) queue_ = std::move(*RingQueue::create(*loop_, pools_, completed));
      if (!GetParam()) queue_ = std::make_unique<ThreadQueue>(*loop_, completed);
    });
  }
  void TearDown() override {
    if (queue_) on_loop([this] { queue_.reset(); });
    loop_->stop();
    loop_->join();
  }
  /// Runs `task` on the loop and waits for it.
  void on_loop(const std::function<void()>& task) {
    std::promise<void> done;
    loop_->post([&] {
      inside_ = true;
      task();
      inside_ = false;
      done.set_value();
    });
    done.get_future().wait();
  }
  std::size_t completions() {
    std::size_t count = 0;
    on_loop([&] { count = moved_.size(); });
    return count;
  }
  /// @return what each operation came to, by id from 1.
  std::vector<std::int64_t> run(std::vector<FileOp> ops) {
    on_loop([&] {
      for (std::size_t i = 0; i < ops.size(); ++i) {
        ops[i].id = i + 1;
        queue_->submit(ops[i]);
      }
    });
    EXPECT_TRUE(eventually([&] { return completions() == ops.size(); }));
    std::vector<std::int64_t> moved;
    on_loop([&] {
      for (std::size_t i = 0; i < ops.size(); ++i) moved.push_back(moved_[i + 1]);
      moved_.clear();
    });
    return moved;
  }
  UniqueFd open(const std::string& path) { return UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)); }

  TempFolder folder_;
  PoolSet pools_;
  std::unique_ptr<net::EventLoop> loop_ = net::EventLoop::create("test-loop");
  bool inside_ = false;  // of a task of ours, on the loop
  std::unique_ptr<FileQueue> queue_;
  std::map<std::uint64_t, std::int64_t> moved_;
};

INSTANTIATE_TEST_SUITE_P(Kinds, Queues, testing::Values(true, false),
                         [](const testing::TestParamInfo<bool>& ring) { return ring.param ? "ring" : "threads"; });

TEST_P(Queues, FarMoreOperationsThanTheKernelIsGivenAllComplete) {
  constexpr std::size_t kOps = kFileOpsMax;
  const std::string path = folder_.file("a");
  const UniqueFd file = open(path);
  std::vector<std::byte> memory = noise(kOps * kEach, 1);
  std::vector<FileOp> ops;
  for (std::size_t i = 0; i < kOps; ++i) {
    ops.push_back({.id = 0,
                   .write = true,
                   .fd = file.get(),
                   .memory = std::span(memory).subspan(i * kEach, kEach),
                   .offset = i * kEach});
  }
  EXPECT_THAT(run(ops), testing::Each(static_cast<std::int64_t>(kEach)));
  EXPECT_TRUE(content_of(path) == memory);
  std::ranges::fill(memory, std::byte{0});
  for (FileOp& op : ops) op.write = false;
  EXPECT_THAT(run(ops), testing::Each(static_cast<std::int64_t>(kEach)));
  EXPECT_TRUE(memory == noise(kOps * kEach, 1));
}

TEST_P(Queues, ErrorsAndShortReadsAreTold) {
  const std::string path = folder_.file("a", noise(1000, 1));
  const UniqueFd file = open(path);
  const UniqueFd read_only(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::vector<std::byte> memory(5 * kEach);
  const auto room = [&](std::size_t op) { return std::span(memory).subspan(op * kEach, kEach); };  // they run at once
  const std::vector<std::int64_t> moved =
      run({{.id = 0, .write = false, .fd = file.get(), .memory = room(0), .offset = 0},
           {.id = 0, .write = false, .fd = file.get(), .memory = room(1), .offset = 1000},
           {.id = 0, .write = true, .fd = read_only.get(), .memory = room(2), .offset = 0},
           {.id = 0, .write = false, .fd = -1, .memory = room(3), .offset = 0},
           {.id = 0, .write = false, .fd = file.get(), .memory = room(4), .offset = 600}});
  EXPECT_THAT(moved, testing::ElementsAre(1000, 0, -EBADF, -EBADF, 400));
}

TEST_P(Queues, CancelledOperationsCompleteOnceToo) {
  constexpr std::size_t kOps = 300;
  const UniqueFd file = open(folder_.file("a", noise(kOps * kEach, 1)));
  std::vector<std::byte> memory(kOps * kEach);
  on_loop([&] {
    for (std::size_t i = 0; i < kOps; ++i) {
      queue_->submit({.id = i + 1,
                      .write = false,
                      .fd = file.get(),
                      .memory = std::span(memory).subspan(i * kEach, kEach),
                      .offset = i * kEach});
    }
    for (std::size_t i = 0; i < kOps; i += 2) queue_->cancel(i + 1);
  });
  on_loop([&] {  // now many are in the kernel; twice does no harm, and neither does a number that nobody has
    for (std::size_t i = 0; i < kOps; i += 3) queue_->cancel(i + 1);
    queue_->cancel(kOps + 1);
  });
  ASSERT_TRUE(eventually([&] { return completions() == kOps; }));
  on_loop([&] {
    std::size_t cancelled = 0;
    for (const auto& [id, moved] : moved_) {
      EXPECT_THAT(moved, testing::AnyOf(static_cast<std::int64_t>(kEach), -ECANCELED, -EINTR)) << id;
      cancelled += moved < 0 ? 1 : 0;
    }
    // The ring had not been told of the first ones; a thread may have been quicker.
    EXPECT_GE(cancelled, GetParam() ? kOps / 2 : 0);
  });
}

TEST_P(Queues, EndOfTheQueueWaitsForTheKernelAndCompletesNothingMore) {
  constexpr std::size_t kOps = 200;
  const UniqueFd file = open(folder_.file("a", noise(kOps * kEach, 1)));
  std::vector<std::byte> memory(kOps * kEach);
  std::size_t before = 0;
  on_loop([&] {
    for (std::size_t i = 0; i < kOps; ++i) {
      queue_->submit({.id = i + 1,
                      .write = false,
                      .fd = file.get(),
                      .memory = std::span(memory).subspan(i * kEach, kEach),
                      .offset = i * kEach});
    }
  });
  on_loop([&] {
    queue_.reset();
    before = moved_.size();
    std::ranges::fill(memory, std::byte{0xee});  // ours: a late read would show
  });
  EXPECT_EQ(completions(), before);
  EXPECT_TRUE(memory[0] == std::byte{0xee} && std::memcmp(memory.data(), memory.data() + 1, memory.size() - 1) == 0);
}

}  // namespace
}  // namespace mooncake::transfer
