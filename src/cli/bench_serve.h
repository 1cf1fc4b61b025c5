// `mooncake bench serve`: what a client of a running cluster sees.
//
//   shared-prefix   a fresh random prefix is sent twice with different questions, first to one prefill worker (cold),
//                   then to another (warm): how much sooner does the first token come when only the cache is shared?
//   poisson         requests arrive at random at a given rate, whether or not earlier ones are done: TTFT and TBT
//                   percentiles, and how many a second meet both objectives (goodput).
//   trace           the same of a trace's arrivals, lengths and shared prefixes, if wanted faster or smaller.
//
// Everything is measured at the client, through HTTP.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "base/time.h"
#include "cli/bench_report.h"
#include "cli/gateway_access.h"

namespace mooncake::cli {

struct BenchServeOptions {
  GatewayAccess gateway;
  std::string scenario = "shared-prefix";  ///< or "poisson", "trace"
  std::string json;                        ///< file for the report; empty: none
  std::uint32_t requests = 8;              ///< shared-prefix: prefixes, each sent twice
  std::uint32_t prefix_tokens = 2000;      ///< shared-prefix
  std::uint32_t question_tokens = 32;      ///< shared-prefix
  double rate = 2;                         ///< poisson: requests a second
  double duration_s = 0;                   ///< poisson, trace; 0: 30 s of poisson, the whole trace
  std::uint32_t prompt_tokens = 256;       ///< poisson: about
  std::string save_trace{};                ///< poisson: file for what was sent, as a trace; empty: none
  std::string trace{};                     ///< trace: file with the requests
  double speed = 1;                        ///< trace: 2 is twice as fast
  double tokens_scale = 1;                 ///< trace: what lengths are multiplied by
  std::uint32_t answer_tokens = 16;        ///< of each, but for trace
  double ttft_slo_s = 30;
  double tbt_slo_ms = 300;
  std::uint64_t seed = 0;  ///< of prompts and arrivals; 0: a new one, so that no run finds the last one's cache
};

/// Runs the scenario, prints the table, writes the report. @return the exit status; errors are printed.
int run_bench_serve(const BenchServeOptions& options);

/// The scenarios: rows, without publishing them. @return the first failure, in words for the user.
Result<std::vector<BenchRow>> bench_shared_prefix(const BenchServeOptions& options, const std::string& model);
Result<std::vector<BenchRow>> bench_poisson(const BenchServeOptions& options, const std::string& model);
Result<std::vector<BenchRow>> bench_trace(const BenchServeOptions& options, const std::string& model);

/// What to count against: objectives as the options give them.
inline Nanos ttft_objective(const BenchServeOptions& options) { return from_ms(options.ttft_slo_s * 1e3); }
inline Nanos tbt_objective(const BenchServeOptions& options) { return from_ms(options.tbt_slo_ms); }

}  // namespace mooncake::cli
