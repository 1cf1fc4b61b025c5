// The counters of one path, of the batches to one peer, and of the messages to one. Who counts keeps a reference, which
// is good for as long as the engine lives: then counting is a few additions, without a lock, a string or an allocation.
// One thread counts, the engine's loop; any may read, and may find a report counted in part.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "transfer/stats/counter.h"
#include "transfer/stats/transfer_stats.h"

namespace mooncake::transfer {

/// What a row of counters is about; empty: not told apart.
struct StatsLabels {
  std::string peer;
  std::string transport;
  std::string rail;
  auto operator<=>(const StatsLabels&) const = default;
};

/// Of one path; see TransferStats.
class PathCounters {
 public:
  using Snapshot = TransferStats;
  explicit PathCounters(StatsLabels labels) : labels_(std::move(labels)) {}
  [[nodiscard]] const StatsLabels& labels() const { return labels_; }

  /// A slice of ours is in place.
  void moved(bool write, std::uint64_t bytes, Nanos took) {
    (write ? bytes_sent_ : bytes_received_).add(bytes);
    (write ? slices_written_ : slices_read_).add();
    slice_latency_.observe(took);
  }
  /// A slice of the peer has left our memory (`sent`), or is in place there.
  void served(bool sent, std::uint64_t bytes) {
    (sent ? bytes_sent_ : bytes_received_).add(bytes);
    slices_served_.add();
  }
  void failed() { slices_failed_.add(); }
  void retried() { slices_retried_.add(); }
  void connection_lost() { connections_lost_.add(); }

  [[nodiscard]] Snapshot snapshot() const {
    return {.transport = labels_.transport,
            .peer = labels_.peer,
            .rail = labels_.rail,
            .bytes_sent = bytes_sent_.value(),
            .bytes_received = bytes_received_.value(),
            .slices_read = slices_read_.value(),
            .slices_written = slices_written_.value(),
            .slices_served = slices_served_.value(),
            .slices_failed = slices_failed_.value(),
            .slices_retried = slices_retried_.value(),
            .connections_lost = connections_lost_.value(),
            .slice_latency = slice_latency_.snapshot()};
  }

 private:
  const StatsLabels labels_;
  Counter bytes_sent_;
  Counter bytes_received_;
  Counter slices_read_;
  Counter slices_written_;
  Counter slices_served_;
  Counter slices_failed_;
  Counter slices_retried_;
  Counter connections_lost_;
  LatencyHistogram slice_latency_;
};

/// Of batches; see BatchStats.
class BatchCounters {
 public:
  using Snapshot = BatchStats;
  explicit BatchCounters(StatsLabels labels) : labels_(std::move(labels)) {}

  void done(Nanos took) { latency_.observe(took); }
  void failed() { failed_.add(); }
  [[nodiscard]] Snapshot snapshot() const {
    return {.transport = labels_.transport,
            .peer = labels_.peer,
            .batches_failed = failed_.value(),
            .latency = latency_.snapshot()};
  }

 private:
  const StatsLabels labels_;
  Counter failed_;
  LatencyHistogram latency_;
};

/// Of messages; see CallStats.
class CallCounters {
 public:
  using Snapshot = CallStats;
  explicit CallCounters(StatsLabels labels) : labels_(std::move(labels)) {}

  void received() { received_.add(); }
  void failed() { failed_.add(); }
  void answered(Nanos took) { latency_.observe(took); }
  [[nodiscard]] Snapshot snapshot() const {
    return {.transport = labels_.transport,
            .peer = labels_.peer,
            .calls_received = received_.value(),
            .calls_failed = failed_.value(),
            .latency = latency_.snapshot()};
  }

 private:
  const StatsLabels labels_;
  Counter received_;
  Counter failed_;
  LatencyHistogram latency_;
};

}  // namespace mooncake::transfer
