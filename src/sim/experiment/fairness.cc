#include "sim/experiment/fairness.h"

#include <algorithm>
#include <functional>

#include "base/rng.h"
#include "sim/experiment/paper_cluster.h"
#include "sim/trace/generator.h"

namespace mooncake::sim {
namespace {

using conductor::Priority;

// Four prefill instances compute what the published rate asks for; twice as much comes.
constexpr std::uint32_t kPrefill = 4;
constexpr std::uint32_t kDecode = 12;
constexpr double kSpeed = 2;
constexpr std::uint64_t kRequests = 12'000;
constexpr std::uint16_t kSmall = 1;
constexpr std::uint16_t kLarge = 2;

using IsMember = std::function<bool(const TraceRequest&)>;

void append(Trace& trace, const Trace& more, std::uint16_t tenant) {
  const std::uint64_t first_block = trace.blocks.size();
  for (const TraceBlock block : more.blocks) trace.blocks.push_back(trace.distinct_blocks + block);
  trace.distinct_blocks += more.distinct_blocks;
  for (TraceRequest request : more.requests) {
    request.first_block += first_block;
    request.tenant = tenant;
    trace.requests.push_back(request);
  }
}

/// Conversations of two tenants who share none, at a fifth and four fifths of the published rate.
Trace two_tenants(WorkloadShape shape, std::uint64_t seed) {
  const double rate = shape.requests_per_s;
  Trace trace{.requests = {}, .blocks = {}, .tenants = {"", "small", "large"}};
  shape.requests_per_s = rate / 5;
  append(trace, generate_trace(shape, kRequests / 5, seed), kSmall);
  shape.requests_per_s = rate * 4 / 5;
  append(trace, generate_trace(shape, kRequests * 4 / 5, seed + 1), kLarge);
  std::ranges::stable_sort(trace.requests, {}, &TraceRequest::arrival);
  return trace;
}

/// A quarter low, a quarter high.
Trace three_priorities(const WorkloadShape& shape, std::uint64_t seed) {
  Trace trace = generate_trace(shape, kRequests, seed);
  Rng rng(seed);
  for (TraceRequest& request : trace.requests) {
    const std::uint64_t draw = rng.below(4);
    request.priority = draw == 0 ? Priority::kLow : draw == 1 ? Priority::kHigh : Priority::kNormal;
  }
  return trace;
}

/// The same requests, all of one tenant and one priority.
Trace told_apart_by_nothing(Trace trace) {
  for (TraceRequest& request : trace.requests) {
    request.tenant = 0;
    request.priority = Priority::kNormal;
  }
  return trace;
}

/// Goodput, share refused, and TTFT of `who` of `trace`, as `result` serves it.
std::vector<Cell> figures(const Trace& trace, const kvcache::Slo& slo, const ClusterResult& result,
                          const IsMember& who) {
  double requests = 0, effective = 0, rejected = 0;
  Instant last{};
  std::vector<double> ttft_s;
  for (std::size_t i = 0; i < trace.requests.size(); ++i) {
    const RequestOutcome& outcome = result.requests[i];
    last = std::max(last, outcome.arrival);
    if (!who(trace.requests[i])) continue;
    ++requests;
    if (outcome.outcome != Outcome::kCompleted) {
      ++rejected;
      continue;
    }
    const Nanos ttft = outcome.first_token - outcome.arrival;
    ttft_s.push_back(to_ms(ttft) / 1e3);
    effective += kvcache::meets(slo, ttft, outcome.tbt.value_or(Nanos{0})) ? 1 : 0;
  }
  const double span_s = to_ms(last.time_since_epoch()) / 1e3;
  return {effective / span_s, rejected / requests, summarize(std::move(ttft_s)).p90};
}

Status add_rows(const ExperimentInput& input, const Trace& trace,
                const std::vector<std::pair<std::string, IsMember>>& groups, Table& table) {
  ClusterConfig config = paper_cluster(kPrefill, kDecode);
  config.admission = conductor::AdmissionPolicy::kSurvival;
  config.speed = kSpeed;
  input.progress("fairness: " + groups.front().first + " and others");
  MC_ASSIGN_OR_RETURN(const ClusterResult apart, run_cluster(trace, config));
  MC_ASSIGN_OR_RETURN(const ClusterResult together, run_cluster(told_apart_by_nothing(trace), config));
  for (const auto& [name, who] : groups) {
    std::vector<Cell> row = {name, static_cast<double>(std::ranges::count_if(trace.requests, who))};
    for (const ClusterResult* result : {&apart, &together}) {
      const std::vector<Cell> cells = figures(trace, config.slo, *result, who);
      row.insert(row.end(), cells.begin(), cells.end());
    }
    table.rows.push_back(std::move(row));
  }
  return {};
}

}  // namespace

Result<Table> fairness_table(const ExperimentInput& input) {
  MC_ASSIGN_OR_RETURN(const WorkloadShape shape, workload_shape("conversation"));
  Table table{.title = "Fairness at twice the load, generated conversation, " + split_name(kPrefill, kDecode),
              .columns = {"who", "requests", "goodput_rps", "rejected", "ttft_s_p90", "goodput_rps, all alike",
                          "rejected, all alike", "ttft_s_p90, all alike"},
              .rows = {}};
  const auto of_tenant = [](std::uint16_t tenant) {
    return [tenant](const TraceRequest& request) { return request.tenant == tenant; };
  };
  const auto of_priority = [](Priority priority) {
    return [priority](const TraceRequest& request) { return request.priority == priority; };
  };
  MC_RETURN_IF_ERROR(add_rows(input, two_tenants(shape, input.seed),
                              {{"tenant small", of_tenant(kSmall)}, {"tenant large", of_tenant(kLarge)}}, table));
  MC_RETURN_IF_ERROR(add_rows(input, three_priorities(shape, input.seed),
                              {{"priority low", of_priority(Priority::kLow)},
                               {"priority normal", of_priority(Priority::kNormal)},
                               {"priority high", of_priority(Priority::kHigh)}},
                              table));
  return table;
}

}  // namespace mooncake::sim
