#include "base/bounded_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

namespace mooncake {
namespace {

TEST(BoundedQueue, IsFirstInFirstOut) {
  BoundedQueue<std::unique_ptr<int>> queue(2);
  EXPECT_TRUE(queue.try_push(std::make_unique<int>(1)).ok());
  EXPECT_TRUE(queue.try_push(std::make_unique<int>(2)).ok());
  EXPECT_EQ(**queue.try_pop(), 1);
  EXPECT_EQ(**queue.try_pop(), 2);
  EXPECT_FALSE(queue.try_pop().has_value());
}

TEST(BoundedQueue, PushesBackWhenFull) {
  BoundedQueue<int> queue(1);
  EXPECT_TRUE(queue.try_push(1).ok());
  EXPECT_EQ(queue.try_push(2).code(), Code::kExhausted);
  EXPECT_EQ(queue.push(2, Instant{}).code(), Code::kDeadlineExceeded);
  EXPECT_EQ(queue.size(), 1u);
}

TEST(BoundedQueue, ClosedQueueGivesWhatIsLeftAndTakesNothing) {
  BoundedQueue<int> queue(4);
  EXPECT_TRUE(queue.try_push(1).ok());
  queue.close();
  EXPECT_EQ(queue.try_push(2).code(), Code::kCancelled);
  EXPECT_EQ(queue.push(2, kNever).code(), Code::kCancelled);
  EXPECT_EQ(queue.pop(kNever), 1);
  EXPECT_EQ(queue.pop(kNever), std::nullopt);
}

TEST(BoundedQueue, CloseWakesThoseWhoWait) {
  BoundedQueue<int> empty(1);
  BoundedQueue<int> full(1);
  EXPECT_TRUE(full.try_push(0).ok());
  std::thread consumer([&] { EXPECT_EQ(empty.pop(kNever), std::nullopt); });
  std::thread producer([&] { EXPECT_EQ(full.push(1, kNever).code(), Code::kCancelled); });
  empty.close();
  full.close();
  consumer.join();
  producer.join();
}

TEST(BoundedQueue, EveryItemArrivesOnceThroughAQueueOfOne) {
  constexpr int kItems = 1000;
  BoundedQueue<int> queue(1);
  std::vector<std::thread> producers;
  for (int p = 0; p < 3; ++p) {
    producers.emplace_back([&queue, p] {
      for (int i = p; i < kItems; i += 3) EXPECT_TRUE(queue.push(i, kNever).ok());
    });
  }
  std::vector<int> seen(kItems, 0);
  Mutex mutex;
  std::vector<std::thread> consumers;
  for (int c = 0; c < 2; ++c) {
    consumers.emplace_back([&] {
      while (const auto item = queue.pop(kNever)) {
        const MutexLock lock(mutex);
        ++seen[static_cast<std::size_t>(*item)];
      }
    });
  }
  for (std::thread& producer : producers) producer.join();
  queue.close();
  for (std::thread& consumer : consumers) consumer.join();
  EXPECT_EQ(seen, std::vector<int>(kItems, 1));
}

}  // namespace
}  // namespace mooncake
