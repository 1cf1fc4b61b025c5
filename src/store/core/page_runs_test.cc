#include "store/core/page_runs.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace mooncake::store {
namespace {

TEST(PageRuns, GivesNeighboursWhenThereAreAny) {
  PageRuns runs(8);
  EXPECT_EQ(runs.take(3), (std::vector<PageRun>{{0, 3}}));
  EXPECT_EQ(runs.take(5), (std::vector<PageRun>{{3, 5}}));
  EXPECT_TRUE(runs.take(1).empty());
}

TEST(PageRuns, PrefersTheShortestRunThatIsLongEnough) {
  PageRuns runs(10);
  runs.take(10);
  runs.give({0, 4});
  runs.give({6, 2});
  EXPECT_EQ(runs.take(2), (std::vector<PageRun>{{6, 2}}));
}

TEST(PageRuns, TakesSeveralRunsRatherThanRefuse) {
  PageRuns runs(6);
  runs.take(6);
  runs.give({0, 2});
  runs.give({3, 1});
  runs.give({5, 1});
  EXPECT_EQ(runs.take(4).size(), 3u);
  EXPECT_EQ(runs.free_pages(), 0u);
}

TEST(PageRuns, JoinsNeighboursThatComeBack) {
  PageRuns runs(3);
  runs.take(3);
  runs.give({0, 1});
  runs.give({2, 1});
  runs.give({1, 1});
  EXPECT_EQ(runs.take(3), (std::vector<PageRun>{{0, 3}}));
}

// The twin is a bitmap: it knows which page is free, and nothing else.
TEST(PageRuns, AgreesWithABitmap) {
  constexpr std::uint32_t kPages = 64;
  Rng rng(1);
  PageRuns runs(kPages);
  std::vector<bool> taken(kPages, false);
  std::vector<PageRun> live;
  for (int step = 0; step < 20'000; ++step) {
    if (rng.below(2) == 0 || live.empty()) {
      const auto count = static_cast<std::uint32_t>(1 + rng.below(12));
      const auto free = static_cast<std::uint32_t>(std::count(taken.begin(), taken.end(), false));
      ASSERT_EQ(runs.free_pages(), free);
      const std::vector<PageRun> got = runs.take(count);
      ASSERT_EQ(got.empty(), count > free) << "step " << step;
      std::uint32_t sum = 0;
      for (const PageRun& run : got) {
        for (std::uint32_t page = run.first; page < run.first + run.count; ++page) {
          ASSERT_FALSE(taken.at(page)) << "page given twice, step " << step;
          taken[page] = true;
        }
        sum += run.count;
        live.push_back(run);
      }
      if (!got.empty()) {
        ASSERT_EQ(sum, count);
      }
    } else {
      const std::size_t pick = rng.below(live.size());
      const PageRun run = live[pick];
      live[pick] = live.back();
      live.pop_back();
      for (std::uint32_t page = run.first; page < run.first + run.count; ++page) taken[page] = false;
      runs.give(run);
    }
  }
}

}  // namespace
}  // namespace mooncake::store
