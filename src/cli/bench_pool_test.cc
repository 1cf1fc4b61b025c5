#include "cli/bench_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>

namespace mooncake::cli {
namespace {

TEST(RequestPool, RunsUpToItsLimitAtOnceAndRefusesMore) {
  std::atomic<int> done{0};
  std::latch all_running(3);
  std::latch release(1);
  {
    RequestPool pool(3);
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(pool.try_run([&] {
        all_running.count_down();
        release.wait();
        ++done;
      }));
    }
    all_running.wait();  // proves that three run at once
    EXPECT_FALSE(pool.try_run([&] { ++done; }));
    release.count_down();
  }
  EXPECT_EQ(done, 3) << "the destructor waits for every task";
}

TEST(RequestPool, ThreadsAreReused) {
  std::atomic<int> done{0};
  RequestPool pool(2);
  for (int i = 0; i < 200;) {
    if (pool.try_run([&] { ++done; })) ++i;
  }
  while (done < 200) std::this_thread::yield();
  EXPECT_EQ(done, 200);
}

}  // namespace
}  // namespace mooncake::cli
