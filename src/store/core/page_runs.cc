#include "store/core/page_runs.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"

namespace mooncake::store {

PageRuns::PageRuns(std::uint32_t page_count) {
  if (page_count > 0) insert({0, page_count});
}

std::vector<PageRun> PageRuns::take(std::uint32_t count) {
  CHECK(count > 0);
  std::vector<PageRun> taken;
  if (count > free_pages_) return taken;
  while (count > 0) {
    auto fit = by_count_.lower_bound({count, 0});
    if (fit == by_count_.end()) fit = std::prev(by_count_.end());
    const PageRun run{fit->second, fit->first};
    const PageRun part{run.first, std::min(run.count, count)};
    erase(run);
    if (part.count < run.count) insert({part.first + part.count, run.count - part.count});
    taken.push_back(part);
    count -= part.count;
  }
  return taken;
}

void PageRuns::give(PageRun run) {
  CHECK(run.count > 0);
  const auto after = by_first_.lower_bound(run.first);
  if (after != by_first_.end()) {
    const PageRun next{after->first, after->second};
    CHECK(run.first + run.count <= next.first);
    if (run.first + run.count == next.first) {
      erase(next);
      run.count += next.count;
    }
  }
  if (const auto at = by_first_.lower_bound(run.first); at != by_first_.begin()) {
    const PageRun previous{std::prev(at)->first, std::prev(at)->second};
    CHECK(previous.first + previous.count <= run.first);
    if (previous.first + previous.count == run.first) {
      erase(previous);
      run = {previous.first, previous.count + run.count};
    }
  }
  insert(run);
}

void PageRuns::insert(PageRun run) {
  by_first_.emplace(run.first, run.count);
  by_count_.emplace(run.count, run.first);
  free_pages_ += run.count;
}

void PageRuns::erase(PageRun run) {
  CHECK(by_first_.erase(run.first) == 1);
  CHECK(by_count_.erase({run.count, run.first}) == 1);
  free_pages_ -= run.count;
}

}  // namespace mooncake::store
