#include "sim/trace/workload.h"

#include <algorithm>

#include "base/check.h"

namespace mooncake::sim {
namespace {

double seconds(Nanos time) { return to_ms(time) / 1000; }

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

/// What there is to say of blocks.
void describe_reuse(const Trace& trace, Workload& workload) {
  constexpr Nanos kUnused{-1};
  std::vector<Nanos> last_use(trace.distinct_blocks, kUnused);
  std::vector<std::uint64_t> uses(trace.distinct_blocks, 0);
  std::vector<double> gaps;
  std::uint64_t reused_tokens = 0;
  std::uint64_t tokens = 0;
  for (const TraceRequest& request : trace.requests) {
    std::uint64_t leading = 0;
    bool unbroken = true;
    for (const TraceBlock block : trace.blocks_of(request)) {
      const bool known = uses[block]++ > 0;
      unbroken = unbroken && known;
      leading += unbroken ? 1 : 0;
      if (known) gaps.push_back(seconds(request.arrival - last_use[block]));
      last_use[block] = request.arrival;
    }
    reused_tokens += std::min<std::uint64_t>(leading * kTraceBlockTokens, request.input_tokens);
    tokens += request.input_tokens;
  }
  workload.used_once = share(static_cast<std::uint64_t>(std::ranges::count(uses, 1u)), trace.distinct_blocks);
  workload.reusable_blocks = share(gaps.size(), trace.blocks.size());
  workload.reusable_tokens = share(reused_tokens, tokens);
  if (!uses.empty()) workload.hottest_block_requests = *std::ranges::max_element(uses);
  workload.reuse_gap_s = summarize(std::move(gaps));
}

}  // namespace

Workload describe(const Trace& trace) {
  CHECK(!trace.requests.empty());
  Workload workload;
  workload.requests = trace.requests.size();
  workload.block_refs = trace.blocks.size();
  workload.distinct_blocks = trace.distinct_blocks;
  const auto [first, last] = std::ranges::minmax(trace.requests, {}, &TraceRequest::arrival);
  workload.span_s = seconds(last.arrival - first.arrival);
  if (workload.span_s > 0) workload.requests_per_s = static_cast<double>(workload.requests) / workload.span_s;
  std::vector<double> input;
  std::vector<double> output;
  for (const TraceRequest& request : trace.requests) {
    input.push_back(request.input_tokens);
    output.push_back(request.output_tokens);
  }
  workload.input_tokens = summarize(std::move(input));
  workload.output_tokens = summarize(std::move(output));
  describe_reuse(trace, workload);
  return workload;
}

}  // namespace mooncake::sim
