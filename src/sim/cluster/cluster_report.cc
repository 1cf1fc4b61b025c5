#include "sim/cluster/cluster_report.h"

#include <algorithm>

namespace mooncake::sim {
namespace {

double seconds(Nanos time) { return to_ms(time) / 1e3; }

std::optional<Summary> summary_of(std::vector<double> samples) {
  if (samples.empty()) return std::nullopt;
  return summarize(std::move(samples));
}

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

class Sums {
 public:
  explicit Sums(const kvcache::Slo& slo) : slo_(slo) {}

  void add(const TraceRequest& traced, const RequestOutcome& outcome) {
    first_ = std::min(first_, outcome.arrival);
    last_ = std::max(last_, outcome.arrival);
    ++report_.requests;
    if (outcome.outcome == Outcome::kRejected) {
      ++report_.rejected;
      return;
    }
    if (outcome.outcome == Outcome::kFailed) {
      ++report_.failed;
      return;
    }
    const double prefill_s = seconds(outcome.first_token - outcome.prefill_start);
    prefill_s_ += prefill_s;
    blocks_ += traced.block_count;
    reused_ += outcome.reused_blocks;
    if (outcome.outcome == Outcome::kRejectedAfterPrefill) {
      ++report_.rejected;
      ++report_.rejected_after_prefill;
      report_.wasted_prefill_s += prefill_s;
      return;
    }
    ++report_.completed;
    ttft_s_.push_back(seconds(outcome.first_token - outcome.arrival));
    if (outcome.tbt) tbt_ms_.push_back(to_ms(*outcome.tbt));
    if (in_time(slo_, outcome)) ++effective_;
  }

  ClusterReport finish() {
    const auto prefills = static_cast<double>(report_.completed + report_.rejected_after_prefill);
    report_.goodput_rps = report_.requests == 0 ? 0 : ratio(effective_, seconds(last_ - first_));
    report_.effective_fraction = ratio(effective_, static_cast<double>(report_.requests));
    report_.hit_rate_prefix_block = ratio(static_cast<double>(reused_), static_cast<double>(blocks_));
    report_.prefill_s_mean = ratio(prefill_s_, prefills);
    report_.ttft_s = summary_of(std::move(ttft_s_));
    report_.tbt_ms = summary_of(std::move(tbt_ms_));
    return report_;
  }

 private:
  const kvcache::Slo& slo_;
  ClusterReport report_;
  double effective_ = 0;
  double prefill_s_ = 0;
  std::uint64_t blocks_ = 0;
  std::uint64_t reused_ = 0;
  Instant first_ = Instant::max();
  Instant last_{};
  std::vector<double> ttft_s_;
  std::vector<double> tbt_ms_;
};

}  // namespace

bool in_time(const kvcache::Slo& slo, const RequestOutcome& outcome) {
  return outcome.outcome == Outcome::kCompleted &&
         kvcache::meets(slo, outcome.first_token - outcome.arrival, outcome.tbt.value_or(Nanos{0}));
}

ClusterReport report_cluster(const Trace& trace, const kvcache::Slo& slo, const ClusterResult& result) {
  Sums sums(slo);
  for (std::size_t i = 0; i < trace.requests.size(); ++i) sums.add(trace.requests[i], result.requests[i]);
  ClusterReport report = sums.finish();
  report.transfers = result.transfers;
  report.replicated_blocks = result.replicated_blocks;
  report.ssd_blocks_read = result.ssd_blocks_read;
  report.node_failures = result.node_failures;
  report.placed_again = result.placed_again;
  report.role_changes = result.role_changes;
  report.prefill_at_end = result.prefill_at_end;
  return report;
}

}  // namespace mooncake::sim
