#include "transfer/stats/stats_table.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <thread>

#include "transfer/stats/rail_counters.h"

namespace mooncake::transfer {
namespace {

TEST(StatsTable, SameLabelsAreTheSameRowForAsLongAsTheTableLives) {
  StatsTable<PathCounters> table;
  PathCounters& row = table.row({.peer = "b", .transport = "tcp", .rail = "0"});
  for (int i = 0; i < 1000; ++i) table.row({.peer = fmt::format("peer-{}", i), .transport = "tcp", .rail = "0"});
  EXPECT_EQ(&table.row({.peer = "b", .transport = "tcp", .rail = "0"}), &row);
  EXPECT_NE(&table.row({.peer = "b", .transport = "tcp", .rail = "1"}), &row);
  EXPECT_EQ(row.labels(), (StatsLabels{.peer = "b", .transport = "tcp", .rail = "0"}));
}

TEST(StatsTable, NamesWithoutEndAreCountedTogether) {
  StatsTable<BatchCounters> table;
  for (std::size_t i = 0; i < kStatsRowsMax + 100; ++i) {
    table.row({.peer = fmt::format("peer-{}", i), .transport = "tcp", .rail = {}}).failed();
    table.row({.peer = fmt::format("peer-{}", i), .transport = "shm", .rail = {}}).failed();
  }
  EXPECT_EQ(table.rows().size(), kStatsRowsMax + 2);
  std::uint64_t other = 0;
  std::uint64_t all = 0;
  for (const BatchStats& row : table.rows()) {
    all += row.batches_failed;
    if (row.peer == "other") other += row.batches_failed;
  }
  EXPECT_EQ(all, 2 * (kStatsRowsMax + 100));
  EXPECT_EQ(other, all - kStatsRowsMax);
}

TEST(StatsTable, RowsAreReadWhileTheyAreCountedIn) {
  StatsTable<PathCounters> table;
  PathCounters& row = table.row({.peer = "b", .transport = "mem", .rail = {}});
  std::thread loop([&] {
    for (int i = 0; i < 20'000; ++i) {
      row.moved(true, 3, Micros(5));
      row.moved(false, 5, Micros(9));
      row.served(true, 7);
    }
  });
  std::uint64_t before = 0;
  while (before < 20'000) {
    const std::uint64_t now = table.rows().at(0).slices_served;
    EXPECT_GE(now, before);
    before = now;
  }
  loop.join();
  const TransferStats sum = table.rows().at(0);
  EXPECT_EQ(sum.bytes_sent, 20'000u * 10);
  EXPECT_EQ(sum.bytes_received, 20'000u * 5);
  EXPECT_EQ(sum.slices_written, 20'000u);
  EXPECT_EQ(sum.slices_read, 20'000u);
  EXPECT_EQ(sum.slice_latency.count(), 40'000u);
  EXPECT_EQ(sum.slice_latency.sum, 20'000 * Micros(14));
}

TEST(RailCounters, RailHasARowOnceItIsUsed) {
  StatsTable<PathCounters> table;
  RailCounters rails(table, "b", "tcp", {"0", "1", "2"});
  EXPECT_TRUE(table.rows().empty());
  rails[1].retried();
  rails[1].connection_lost();
  ASSERT_EQ(table.rows().size(), 1u);
  EXPECT_EQ(table.rows()[0].rail, "1");
  EXPECT_EQ(table.rows()[0].slices_retried, 1u);
  EXPECT_EQ(table.rows()[0].connections_lost, 1u);
}

}  // namespace
}  // namespace mooncake::transfer
