// Copies in the turns of a loop, by one thread and by a crew.
#include "transfer/copy_queue.h"

#include <gmock/gmock.h>

#include "transfer/test_node.h"

namespace mooncake::transfer {
namespace {

using testing::ElementsAre;
constexpr std::size_t kMiB = 1u << 20;

/// With so many threads. The loop runs in run(), on the test's thread.
class Copies : public testing::TestWithParam<std::size_t> {
 protected:
  CopyJob job(std::byte* to, const std::byte* from, std::size_t bytes, pid_t pid = 0) {
    const std::uint64_t id = ++last_id_;
    return {.id = id,
            .segment = {},
            .to = to,
            .from = from,
            .bytes = bytes,
            .pid = pid,
            .pool = nullptr,
            .done = [this, id](const Status& status) {
              over_.push_back(id);
              if (!status.ok()) failed_.push_back(id);
            }};
  }
  void run() {
    wait_until_empty();
    loop_->run();
  }
  void wait_until_empty() {
    if (queue_.empty()) return loop_->stop();
    loop_->post([this] { wait_until_empty(); });
  }

  std::unique_ptr<net::EventLoop> loop_ = net::EventLoop::create("copies");
  CopyCrew crew_{GetParam()};
  CopyQueue queue_{*loop_, crew_};
  std::uint64_t last_id_ = 0;
  std::vector<std::uint64_t> over_;
  std::vector<std::uint64_t> failed_;
};
INSTANTIATE_TEST_SUITE_P(Threads, Copies, testing::Values(1, 2, 4));

TEST_P(Copies, EveryByteArrivesAndJobsEndInTheirOrder) {
  const std::vector<std::byte> from = noise(40 * kMiB, 1);
  std::vector<std::byte> to(from.size());
  Rng rng(2);
  for (std::size_t at = 0; at < from.size();) {
    const std::size_t bytes = std::min<std::size_t>(1 + rng.below(5 * kMiB), from.size() - at);
    queue_.push(job(to.data() + at, from.data() + at, bytes));
    at += bytes;
  }
  EXPECT_EQ(queue_.bytes(), from.size());
  run();
  EXPECT_TRUE(to == from);
  EXPECT_EQ(queue_.bytes(), 0u);
  EXPECT_EQ(over_.size(), last_id_);
  EXPECT_TRUE(std::ranges::is_sorted(over_));
  EXPECT_TRUE(failed_.empty());
}

TEST_P(Copies, WhatOneWritesAnotherReadsOnlyInItsTurn) {
  std::vector<std::byte> first = noise(8 * kMiB, 1);
  const std::vector<std::byte> kept = first;
  std::vector<std::byte> second(first.size());
  std::vector<std::byte> third(first.size());
  queue_.push(job(second.data(), first.data(), first.size()));
  queue_.push(job(third.data(), second.data(), first.size()));
  const std::vector<std::byte> last = noise(first.size(), 3);
  queue_.push(job(first.data(), last.data(), first.size()));
  queue_.push(job(first.data(), kept.data(), first.size()));
  run();
  EXPECT_TRUE(second == kept);
  EXPECT_TRUE(third == kept);
  EXPECT_TRUE(first == kept) << "the later of two that write there comes last";
}

TEST_P(Copies, JobThatIsTakenOutTouchesNothingMoreAndOthersGoOn) {
  const std::vector<std::byte> from = noise(48 * kMiB, 1);
  std::vector<std::byte> to(from.size());
  const std::size_t third = 16 * kMiB;
  for (std::size_t i = 0; i < 3; ++i) queue_.push(job(to.data() + i * third, from.data() + i * third, third));
  std::vector<std::byte> seen;
  loop_->post([&] {  // after the first turn
    EXPECT_TRUE(queue_.cancel(2, {Code::kCancelled, "not wanted"}));
    queue_.forget(1);
    seen.assign(to.begin(), to.begin() + static_cast<std::ptrdiff_t>(2 * third));
  });
  run();
  EXPECT_THAT(over_, ElementsAre(2, 3));
  EXPECT_THAT(failed_, ElementsAre(2));
  EXPECT_TRUE(std::equal(seen.begin(), seen.end(), to.begin()));
  EXPECT_EQ(seen[0], from[0]) << "the first turn had been";
  EXPECT_NE(std::memcmp(seen.data(), from.data(), third), 0) << "and not all";
  EXPECT_EQ(std::memcmp(to.data() + 2 * third, from.data() + 2 * third, third), 0);
}

TEST_P(Copies, MemoryOfAProcessThatIsNotThereFailsItsOwnJobAlone) {
  const std::vector<std::byte> from = noise(12 * kMiB, 1);
  std::vector<std::byte> to(from.size());
  constexpr pid_t kNobody = 0x3fffffff;  // above every pid_max
  queue_.push(job(to.data(), from.data(), 4 * kMiB));
  queue_.push(job(to.data() + 4 * kMiB, from.data() + 4 * kMiB, 4 * kMiB, kNobody));
  queue_.push(job(to.data() + 8 * kMiB, from.data() + 8 * kMiB, 4 * kMiB, ::getpid()));
  run();
  EXPECT_THAT(over_, ElementsAre(1, 2, 3));
  EXPECT_THAT(failed_, ElementsAre(2));
  EXPECT_EQ(std::memcmp(to.data() + 8 * kMiB, from.data() + 8 * kMiB, 4 * kMiB), 0);
  EXPECT_EQ(queue_.bytes(), 0u);
}

}  // namespace
}  // namespace mooncake::transfer
