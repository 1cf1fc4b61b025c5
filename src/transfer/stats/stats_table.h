// StatsTable: the rows of one kind of counters (counters.h), by what they are about. A row is made when it is first
// asked for and stays as long as the engine. Thread-safe; only asking for rows takes the lock, never counting in one.
#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "transfer/stats/counters.h"

namespace mooncake::transfer {

/// Rows. A cluster has a few hundred names; should names come without end, the rest is counted under "other", with a
/// row for each transport.
inline constexpr std::size_t kStatsRowsMax = 4096;

template <typename Counters>
class StatsTable {
 public:
  /// The row of `labels`, or the one in which it is counted instead.
  Counters& row(StatsLabels labels) EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    if (const auto found = rows_.find(labels); found != rows_.end()) return *found->second;
    if (rows_.size() >= kStatsRowsMax) labels = {.peer = "other", .transport = std::move(labels.transport), .rail = {}};
    std::unique_ptr<Counters>& row = rows_[labels];
    if (!row) row = std::make_unique<Counters>(std::move(labels));
    return *row;
  }

  /// What was counted, by peer, transport and rail.
  [[nodiscard]] std::vector<typename Counters::Snapshot> rows() const EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    std::vector<typename Counters::Snapshot> rows;
    rows.reserve(rows_.size());
    for (const auto& [labels, row] : rows_) rows.push_back(row->snapshot());
    return rows;
  }

 private:
  mutable Mutex mutex_;
  std::map<StatsLabels, std::unique_ptr<Counters>> rows_ GUARDED_BY(mutex_);
};

/// All that one engine counts.
struct StatsTables {
  StatsTable<PathCounters> paths;
  StatsTable<BatchCounters> batches;
  StatsTable<CallCounters> calls;
};

}  // namespace mooncake::transfer
