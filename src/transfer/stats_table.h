// StatsTable: what moved, by peer and transport, since the engine began. Thread-safe.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "transfer/transfer_engine.h"

namespace mooncake::transfer {

/// Rows. A cluster has a few hundred names; should names come without end, the rest is counted under "other".
inline constexpr std::size_t kStatsRowsMax = 4096;

class StatsTable {
 public:
  void sent(std::string_view peer, std::string_view transport, std::uint64_t bytes) EXCLUDES(mutex_);
  void received(std::string_view peer, std::string_view transport, std::uint64_t bytes) EXCLUDES(mutex_);
  void batch_failed(std::string_view peer, std::string_view transport) EXCLUDES(mutex_);
  void slices_retried(std::string_view peer, std::string_view transport, std::uint64_t count) EXCLUDES(mutex_);
  void connection_lost(std::string_view peer, std::string_view transport) EXCLUDES(mutex_);
  [[nodiscard]] std::vector<TransferStats> rows() const EXCLUDES(mutex_);

 private:
  TransferStats& row(std::string_view peer, std::string_view transport) REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::map<std::pair<std::string, std::string>, TransferStats> rows_ GUARDED_BY(mutex_);
};

}  // namespace mooncake::transfer
