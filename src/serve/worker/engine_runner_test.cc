#include "serve/worker/engine_runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "net/event_loop.h"

namespace mooncake::serve {
namespace {

std::unique_ptr<EngineRunner> simulated(Executor& loop) {
  auto runner = EngineRunner::create([] { return engine::make_engine({.kind = "simulated", .model_path = ""}); }, loop);
  CHECK(runner.ok());
  return std::move(runner).value();
}

TEST(EngineRunner, WorkRunsInOrderOnOneThreadAndResultsComeBackToTheLoop) {
  const auto loop = net::EventLoop::create("test");
  const auto runner = simulated(*loop);
  loop->start();
  std::thread::id thread;
  std::vector<int> order;  // written on the loop only
  std::promise<void> all;
  for (int i = 0; i < 100; ++i) {
    auto on_thread = std::make_shared<std::thread::id>();
    runner->run([on_thread](engine::Engine&) { *on_thread = std::this_thread::get_id(); },
                [&, i, on_thread] {
                  EXPECT_TRUE(loop->is_current());
                  if (i == 0) thread = *on_thread;
                  EXPECT_EQ(*on_thread, thread);
                  order.push_back(i);
                  if (i == 99) all.set_value();
                });
  }
  all.get_future().wait();
  ASSERT_EQ(order.size(), 100u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_NE(thread, std::this_thread::get_id());
}

TEST(EngineRunner, IsFullWhileTheEngineHasFallenBehind) {
  const auto loop = net::EventLoop::create("test");
  const auto runner = simulated(*loop);
  loop->start();
  std::promise<void> begun;
  std::promise<void> go_on;
  runner->run(
      [&](engine::Engine&) {
        begun.set_value();
        go_on.get_future().wait();
      },
      [] {});
  begun.get_future().wait();  // from here on work piles up
  for (std::size_t i = 1; i < kEngineQueueMax; ++i) runner->run([](engine::Engine&) {}, [] {});
  EXPECT_FALSE(runner->full());
  std::promise<void> caught_up;
  runner->run([](engine::Engine&) {}, [&] { caught_up.set_value(); });
  EXPECT_TRUE(runner->full());
  go_on.set_value();
  caught_up.get_future().wait();
  EXPECT_FALSE(runner->full());
}

TEST(EngineRunner, SaysWhyThereIsNoEngine) {
  const auto loop = net::EventLoop::create("test");
  const auto runner = EngineRunner::create(
      []() -> Result<std::unique_ptr<engine::Engine>> { return Status(Code::kNotFound, "no such file"); }, *loop);
  EXPECT_EQ(runner.status().code(), Code::kNotFound);
}

TEST(EngineRunner, AfterStopWorkIsDestroyedWithoutRunning) {
  const auto loop = net::EventLoop::create("test");
  const auto runner = simulated(*loop);
  runner->stop();
  auto captured = std::make_shared<bool>(false);
  runner->run([captured](engine::Engine&) { *captured = true; }, [captured] { *captured = true; });
  EXPECT_FALSE(*captured);
  EXPECT_EQ(captured.use_count(), 1) << "nobody keeps the work";
}

}  // namespace
}  // namespace mooncake::serve
