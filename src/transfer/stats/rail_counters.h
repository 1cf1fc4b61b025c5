// RailCounters: the counters of one transport's rails to one peer. A rail that carries nothing has no row.
// Thread-compatible.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "transfer/stats/stats_table.h"

namespace mooncake::transfer {

class RailCounters {
 public:
  /// `transport` is a literal; `rails` the labels of the rails, {""} for a transport that has no rails.
  RailCounters(StatsTable<PathCounters>& table, std::string peer, std::string_view transport,
               std::vector<std::string> rails)
      : table_(table), peer_(std::move(peer)), transport_(transport), rails_(std::move(rails)), rows_(rails_.size()) {}

  /// The counters of a rail, by its place in `rails`. Takes the table's lock for the first use only.
  PathCounters& operator[](std::size_t rail) {
    PathCounters*& row = rows_.at(rail);
    if (row == nullptr) {
      row = &table_.row({.peer = peer_, .transport = std::string(transport_), .rail = rails_[rail]});
    }
    return *row;
  }

 private:
  StatsTable<PathCounters>& table_;
  const std::string peer_;
  const std::string_view transport_;
  const std::vector<std::string> rails_;
  std::vector<PathCounters*> rows_;  // null: not used yet
};

}  // namespace mooncake::transfer
