// `mooncake bench conductor`: how fast the scheduler is, on one core and without a cluster.
//
//   prefix index   prompts are stored until it holds so many blocks; then prompts of 24 blocks are looked up, each in
//                  full. The same with a hash map of sets and with a radix tree, for comparison.
//   decisions      the production Conductor decides about prompts of 24 blocks, half of them known, others in part, for
//                  clusters of three sizes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/bench_report.h"

namespace mooncake::cli {

struct BenchConductorOptions {
  std::string json;             ///< where --json says (json_output.h)
  std::uint64_t blocks = 0;     ///< different blocks in the index
  std::uint64_t lookups = 0;    ///< of each index, once for the rate and once for the percentiles
  std::uint64_t decisions = 0;  ///< for each size of the cluster
  std::uint64_t seed = 0;       ///< of keys and requests: the same one gives the same work
};

/// Measures, prints the table, writes the report. @return the exit status; errors are printed.
int run_bench_conductor(const BenchConductorOptions& options);

/// Rows of the two parts, without publishing them. @return kInternal if the indexes disagree, which none may.
Result<std::vector<BenchRow>> bench_prefix_index(const BenchConductorOptions& options);
Result<std::vector<BenchRow>> bench_decisions(const BenchConductorOptions& options);

}  // namespace mooncake::cli
