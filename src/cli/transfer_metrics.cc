#include "cli/transfer_metrics.h"

#include <utility>

namespace mooncake::cli {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using transfer::BatchStats;
using transfer::CallStats;
using transfer::LatencyCounts;
using transfer::TransferStats;

double seconds(Nanos time) { return std::chrono::duration<double>(time).count(); }

std::vector<ClientMetric::Label> labels(const TransferStats& row) {
  std::vector<ClientMetric::Label> labels = {{"peer", row.peer}, {"transport", row.transport}};
  if (!row.rail.empty()) labels.push_back({"rail", row.rail});
  return labels;
}
std::vector<ClientMetric::Label> labels(const BatchStats& row) {
  return {{"peer", row.peer}, {"transport", row.transport}};
}
std::vector<ClientMetric::Label> labels(const CallStats& row) {
  return {{"peer", row.peer}, {"transport", row.transport}};
}

/// One counter for each row, with `value(row)`.
template <typename Row, typename Value>
MetricFamily counters(std::string name, std::string help, const std::vector<Row>& rows, Value value) {
  MetricFamily family{std::move(name), std::move(help), MetricType::Counter, {}};
  for (const Row& row : rows) {
    ClientMetric& metric = family.metric.emplace_back();
    metric.label = labels(row);
    metric.counter.value = static_cast<double>(value(row));
  }
  return family;
}

ClientMetric::Histogram histogram(const LatencyCounts& counts) {
  ClientMetric::Histogram histogram;
  std::uint64_t so_far = 0;
  for (std::size_t i = 0; i < transfer::kLatencyBounds; ++i) {
    so_far += counts.counts[i];
    histogram.bucket.push_back({.cumulative_count = so_far, .upper_bound = seconds(LatencyCounts::bound(i))});
  }
  histogram.sample_count = counts.count();
  histogram.sample_sum = seconds(counts.sum);
  return histogram;
}

template <typename Row>
MetricFamily latencies(std::string name, std::string help, const std::vector<Row>& rows, LatencyCounts Row::*counts) {
  MetricFamily family{std::move(name), std::move(help), MetricType::Histogram, {}};
  for (const Row& row : rows) {
    ClientMetric& metric = family.metric.emplace_back();
    metric.label = labels(row);
    metric.histogram = histogram(row.*counts);
  }
  return family;
}

void add_paths(const std::vector<TransferStats>& rows, std::vector<MetricFamily>& families) {
  const auto add = [&](std::string name, std::string help, std::uint64_t TransferStats::*count) {
    families.push_back(
        counters(std::move(name), std::move(help), rows, [count](const TransferStats& row) { return row.*count; }));
  };
  add("mooncake_transfer_sent_bytes_total", "Bulk payload that left this process for a peer.",
      &TransferStats::bytes_sent);
  add("mooncake_transfer_received_bytes_total", "Bulk payload that arrived here from a peer.",
      &TransferStats::bytes_received);
  add("mooncake_transfer_read_slices_total", "Slices of this process's reads that are in place.",
      &TransferStats::slices_read);
  add("mooncake_transfer_written_slices_total", "Slices of this process's writes that are in place.",
      &TransferStats::slices_written);
  add("mooncake_transfer_served_slices_total", "Slices that the peer has read or written here.",
      &TransferStats::slices_served);
  add("mooncake_transfer_failed_slices_total", "Slices that the peer refused, or that were lost with it.",
      &TransferStats::slices_failed);
  add("mooncake_transfer_retried_slices_total", "Slices that were begun again, by the path on which they failed.",
      &TransferStats::slices_retried);
  add("mooncake_transfer_lost_connections_total", "Connections that were lost while the peer lived on.",
      &TransferStats::connections_lost);
  families.push_back(latencies("mooncake_transfer_slice_duration_seconds",
                               "Time of a slice on its path, waiting there included.", rows,
                               &TransferStats::slice_latency));
}

std::vector<MetricFamily> collect(const transfer::TransferEngine& engine) {
  std::vector<MetricFamily> families;
  add_paths(engine.stats(), families);
  const std::vector<BatchStats> batches = engine.batch_stats();
  families.push_back(counters("mooncake_transfer_failed_batches_total", "Batches that failed or were cancelled.",
                              batches, [](const BatchStats& row) { return row.batches_failed; }));
  families.push_back(latencies("mooncake_transfer_batch_duration_seconds",
                               "Time of a batch that succeeded, from its submission.", batches, &BatchStats::latency));
  const std::vector<CallStats> calls = engine.call_stats();
  families.push_back(counters("mooncake_transfer_received_calls_total", "Calls that a peer made.", calls,
                              [](const CallStats& row) { return row.calls_received; }));
  families.push_back(counters("mooncake_transfer_failed_calls_total",
                              "Calls to a peer without an answer, or with a failure as the answer.", calls,
                              [](const CallStats& row) { return row.calls_failed; }));
  families.push_back(latencies("mooncake_transfer_call_duration_seconds",
                               "Round trip of a call to a peer that was answered.", calls, &CallStats::latency));
  std::erase_if(families, [](const MetricFamily& family) { return family.metric.empty(); });
  return families;
}

}  // namespace

void export_transfer_stats(const transfer::TransferEngine& engine, Metrics& metrics) {
  metrics.on_collect([&engine] { return collect(engine); });
}

}  // namespace mooncake::cli
