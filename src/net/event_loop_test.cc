#include "net/event_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <future>
#include <memory>
#include <thread>
#include <vector>

namespace mooncake::net {
namespace {

using testing::ElementsAre;

/// A loop on its own thread, and a way to wait until it has done what was posted before.
class EventLoopTest : public testing::Test {
 protected:
  void SetUp() override { loop_->start(); }

  // Runs `task` on the loop and waits for it.
  void on_loop(Task task) {
    std::promise<void> done;
    loop_->post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }

  // A timer that is always due.
  void rearm() {
    if (!enough_) loop_->post_at(loop_->clock().now(), [this] { rearm(); });
  }

  std::atomic<bool> enough_{false};
  std::unique_ptr<EventLoop> loop_ = EventLoop::create("test-loop");  // destroyed first: its timers use the above
};

TEST_F(EventLoopTest, RunsTasksInTheOrderOfThePosts) {
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) loop_->post([&order, i] { order.push_back(i); });
  on_loop([] {});
  ASSERT_EQ(order.size(), 100u);
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST_F(EventLoopTest, NeverRunsATaskInsideThePost) {
  on_loop([this] {
    auto ran = std::make_shared<bool>(false);
    loop_->post([ran] { *ran = true; });
    EXPECT_FALSE(*ran);
  });
}

TEST_F(EventLoopTest, KnowsWhetherItIsCurrent) {
  EXPECT_FALSE(loop_->is_current());
  on_loop([this] { EXPECT_TRUE(loop_->is_current()); });
}

TEST_F(EventLoopTest, TasksMayOwnWhatCannotBeCopied) {
  int seen = 0;
  on_loop([&seen, value = std::make_unique<int>(7)] { seen = *value; });
  EXPECT_EQ(seen, 7);
}

TEST_F(EventLoopTest, TimersRunInTheOrderOfTheirInstantsAndNotBefore) {
  std::vector<int> order;
  std::promise<void> last;
  const Instant now = loop_->clock().now();
  const auto at = [&](Millis delay, int number) {
    loop_->post_at(now + delay, [&, delay, number] {
      EXPECT_GE(loop_->clock().now(), now + delay);
      EXPECT_TRUE(loop_->is_current());
      order.push_back(number);
    });
  };
  on_loop([&] {
    at(Millis(20), 3);
    at(Millis(10), 2);
    at(Millis(0), 0);
    at(Millis(0), 1);  // the same instant: in the order of the calls
    loop_->post_at(now + Millis(21), [&] { last.set_value(); });
  });
  last.get_future().wait();
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3));
}

TEST_F(EventLoopTest, TimerFromAnotherThreadMovesTheNextWakeUpForward) {
  const TimerId far = loop_->post_at(loop_->clock().now() + Seconds(3600), [] { ADD_FAILURE(); });
  std::promise<void> ran;
  loop_->post_at(loop_->clock().now() + Millis(1), [&] { ran.set_value(); });
  ran.get_future().wait();
  loop_->cancel(far);
}

// Both timers are due when the first runs; the contract says that cancelling on the loop cannot be too late.
TEST_F(EventLoopTest, CancelOnTheLoopPreventsATimerThatIsAlreadyDue) {
  auto second = std::make_shared<TimerId>();
  std::promise<void> after;
  on_loop([&, second] {
    const Instant due = loop_->clock().now() - Millis(1);
    loop_->post_at(due, [this, second] { loop_->cancel(*second); });
    *second = loop_->post_at(due, [] { ADD_FAILURE() << "a cancelled timer ran"; });
    loop_->post_at(due, [&] { after.set_value(); });
  });
  after.get_future().wait();
}

TEST_F(EventLoopTest, CancelDestroysTheTaskAndForgivesUnknownTimers) {
  auto owned = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = owned;
  const TimerId timer = loop_->post_at(loop_->clock().now() + Seconds(3600), [owned = std::move(owned)] {});
  EXPECT_FALSE(watch.expired());
  loop_->cancel(timer);
  EXPECT_TRUE(watch.expired());
  loop_->cancel(timer);
  loop_->cancel(TimerId{0});
  loop_->cancel(TimerId{987654});
}

TEST_F(EventLoopTest, TimerThatRearmsItselfDoesNotStarveTasks) {
  rearm();
  for (int i = 0; i < 10; ++i) on_loop([] {});
  enough_ = true;
}

TEST_F(EventLoopTest, ManyThreadsMaySetAndCancelTimers) {
  std::atomic<int> ran{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        loop_->post_at(loop_->clock().now() + Micros(i), [&ran] { ++ran; });
        loop_->cancel(loop_->post_at(loop_->clock().now() + Seconds(3600), [] { ADD_FAILURE(); }));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::promise<void> last;
  loop_->post_at(loop_->clock().now() + Millis(1), [&] { last.set_value(); });
  last.get_future().wait();
  EXPECT_EQ(ran, 800);
}

TEST_F(EventLoopTest, StopsAfterTheCurrentTaskAndDestroysWhatComesLater) {
  auto owned = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = owned;
  on_loop([this] { loop_->stop(); });
  loop_->post([owned] { ADD_FAILURE() << "ran after stop()"; });
  loop_->post_at(loop_->clock().now(), [owned = std::move(owned)] { ADD_FAILURE() << "ran after stop()"; });
  EXPECT_TRUE(watch.expired());
}

TEST(EventLoop, DestroysTasksThatNeverRanEvenIfTheyCallBack) {
  auto loop = EventLoop::create("never-run");
  const auto watched = std::make_shared<int>(1);
  EventLoop* const raw = loop.get();
  int called_back = 0;
  // Something whose destructor calls the loop.
  const auto caller = [&called_back, raw] {
    return std::shared_ptr<void>(nullptr, [&called_back, raw](void*) {
      raw->post([] {});
      raw->cancel(raw->post_at(Instant{}, [] {}));
      ++called_back;
    });
  };
  loop->post([calls = caller(), watched] {});
  loop->post_at(Instant{}, [calls = caller(), watched] {});
  EXPECT_EQ(watched.use_count(), 3);
  loop.reset();
  EXPECT_EQ(watched.use_count(), 1);
  EXPECT_EQ(called_back, 2);
}

TEST(EventLoop, RunUsesTheCallingThread) {
  auto loop = EventLoop::create("runs-here");
  std::thread::id id;
  loop->post([&] {
    id = std::this_thread::get_id();
    loop->stop();
  });
  loop->run();
  EXPECT_EQ(id, std::this_thread::get_id());
}

TEST(EventLoop, HandlesEachSignalOnTheLoop) {
  auto loop = EventLoop::create("signals");
  std::vector<int> signals;
  loop->on_signal([&](int signal) {
    EXPECT_TRUE(loop->is_current());
    signals.push_back(signal);
    if (signal == SIGINT) raise(SIGTERM);
    if (signal == SIGTERM) loop->stop();
  });
  raise(SIGINT);
  loop->run();
  EXPECT_THAT(signals, ElementsAre(SIGINT, SIGTERM));
}

}  // namespace
}  // namespace mooncake::net
