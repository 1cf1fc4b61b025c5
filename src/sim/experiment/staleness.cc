// What the Conductor loses when it does not know what is: cache events that come late or never, and a cost model that
// is wrong.
#include <fmt/core.h>

#include <array>

#include "sim/experiment/experiment.h"
#include "sim/experiment/paper_cluster.h"

namespace mooncake::sim {
namespace {

constexpr std::uint32_t kPrefill = 8;
constexpr std::uint32_t kDecode = 8;

std::vector<Cell> row_of(std::vector<Cell> row, const ClusterReport& report) {
  const Summary ttft = report.ttft_s.value_or(Summary{});
  for (const double value : {ttft.mean, ttft.p90, report.hit_rate_prefix_block, report.goodput_rps,
                             report.effective_fraction, static_cast<double>(report.rejected)}) {
    row.emplace_back(value);
  }
  return row;
}

constexpr std::array kMeasures = {"ttft_s_mean", "ttft_s_p90", "hit_rate", "goodput_rps", "effective", "rejected"};

Result<Table> delayed_events(const ExperimentInput& input) {
  Table table{.title = "Cache events come late", .columns = {"delay_s"}};
  table.columns.insert(table.columns.end(), kMeasures.begin(), kMeasures.end());
  for (const double delay_s : {0.0, 0.1, 1.0, 10.0, 60.0}) {
    input.progress(fmt::format("events {} s late", delay_s));
    ClusterConfig config = paper_cluster(kPrefill, kDecode);
    config.event_delay = from_ms(delay_s * 1e3);
    MC_ASSIGN_OR_RETURN(const ClusterReport report, run_and_report(input.trace, config));
    table.rows.push_back(row_of({delay_s}, report));
  }
  return table;
}

Result<Table> lost_events(const ExperimentInput& input) {
  Table table{.title = "Cache events get lost and are not repaired", .columns = {"lost"}};
  table.columns.insert(table.columns.end(), kMeasures.begin(), kMeasures.end());
  for (const double loss : {0.0, 0.01, 0.1, 0.3}) {
    input.progress(fmt::format("{} of the events lost", loss));
    ClusterConfig config = paper_cluster(kPrefill, kDecode);
    config.event_loss = loss;
    config.seed = input.seed;
    MC_ASSIGN_OR_RETURN(const ClusterReport report, run_and_report(input.trace, config));
    table.rows.push_back(row_of({loss}, report));
  }
  return table;
}

}  // namespace

Result<Report> run_staleness(const ExperimentInput& input) {
  Report report{.name = "staleness", .title = "What late and lost cache events cost"};
  MC_ASSIGN_OR_RETURN(Table delayed, delayed_events(input));
  MC_ASSIGN_OR_RETURN(Table lost, lost_events(input));
  report.tables = {std::move(delayed), std::move(lost)};
  report.notes = {
      "8P8D. A prompt looks up its own node's cache when it is computed, so blocks that the Conductor does not know of "
      "are "
      "still reused there; what suffers is the choice of the node and of what to fetch.",
      "The store repairs lost events by reading a node's blocks again; here they stay lost for the whole hour."};
  return report;
}

Result<Report> run_miscalibration(const ExperimentInput& input) {
  Report report{.name = "miscalibration", .title = "What a wrong cost model costs"};
  Table table{.title = "The Conductor's profile is wrong by a factor, until it has corrected itself",
              .columns = {"factor", "admission"}};
  table.columns.insert(table.columns.end(), kMeasures.begin(), kMeasures.end());
  for (const double factor : {0.5, 1.0, 2.0}) {
    for (const auto admission : {conductor::AdmissionPolicy::kNone, conductor::AdmissionPolicy::kSurvival}) {
      input.progress(fmt::format("a profile wrong by {}", factor));
      ClusterConfig config = paper_cluster(kPrefill, kDecode);
      config.admission = admission;
      config.speed = 2;
      config.believed_factor = factor;
      MC_ASSIGN_OR_RETURN(const ClusterReport one, run_and_report(input.trace, config));
      table.rows.push_back(row_of({factor, std::string(conductor::admission_name(admission))}, one));
    }
  }
  report.tables = {std::move(table)};
  report.notes = {
      "8P8D at twice the speed. Every prefill that ends corrects its instance's predictions (an EWMA of actual / "
      "predicted), so a steady factor is gone after about ten requests an instance; steps are not corrected here, "
      "because instances report nothing in the simulator, and the TBT's margin has to make up for them."};
  return report;
}

}  // namespace mooncake::sim
