// PageRuns: which pages of the pool are free, as maximal runs of neighbours.
//
// A taker gets one run when there is one that is long enough (the shortest such, to keep long runs whole), and
// otherwise several: fragmentation never refuses what would fit.
//
// Pure. Thread-compatible. O(log runs) a run taken or given.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace mooncake::store {

/// `count` pages from `first` on.
struct PageRun {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  auto operator<=>(const PageRun&) const = default;
};

class PageRuns {
 public:
  /// All of pages 0 to page_count - 1 are free.
  explicit PageRuns(std::uint32_t page_count);

  /// Takes `count` pages, at least 1, in as few runs as it can. Empty when fewer are free.
  std::vector<PageRun> take(std::uint32_t count);
  /// Gives back pages that were taken. CHECK-fails when one of them is free.
  void give(PageRun run);

  [[nodiscard]] std::uint32_t free_pages() const { return free_pages_; }

 private:
  void insert(PageRun run);
  void erase(PageRun run);

  std::map<std::uint32_t, std::uint32_t> by_first_;             // first page to count
  std::set<std::pair<std::uint32_t, std::uint32_t>> by_count_;  // (count, first)
  std::uint32_t free_pages_ = 0;
};

}  // namespace mooncake::store
