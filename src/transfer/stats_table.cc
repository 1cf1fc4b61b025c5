#include "transfer/stats_table.h"

namespace mooncake::transfer {

TransferStats& StatsTable::row(std::string_view peer, std::string_view transport) {
  std::pair<std::string, std::string> key(peer, transport);
  if (const auto found = rows_.find(key); found != rows_.end()) return found->second;
  if (rows_.size() >= kStatsRowsMax) key.first = "other";
  const auto [place, added] = rows_.try_emplace(key);
  if (added) {
    place->second.peer = key.first;
    place->second.transport = key.second;
  }
  return place->second;
}

void StatsTable::sent(std::string_view peer, std::string_view transport, std::uint64_t bytes) {
  MutexLock lock(mutex_);
  row(peer, transport).bytes_sent += bytes;
}

void StatsTable::received(std::string_view peer, std::string_view transport, std::uint64_t bytes) {
  MutexLock lock(mutex_);
  row(peer, transport).bytes_received += bytes;
}

void StatsTable::batch_failed(std::string_view peer, std::string_view transport) {
  MutexLock lock(mutex_);
  ++row(peer, transport).batches_failed;
}

void StatsTable::slices_retried(std::string_view peer, std::string_view transport, std::uint64_t count) {
  MutexLock lock(mutex_);
  row(peer, transport).slices_retried += count;
}

void StatsTable::connection_lost(std::string_view peer, std::string_view transport) {
  MutexLock lock(mutex_);
  ++row(peer, transport).connections_lost;
}

std::vector<TransferStats> StatsTable::rows() const {
  MutexLock lock(mutex_);
  std::vector<TransferStats> rows;
  rows.reserve(rows_.size());
  for (const auto& [key, row] : rows_) rows.push_back(row);
  return rows;
}

}  // namespace mooncake::transfer
