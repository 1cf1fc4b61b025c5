#include "cli/bench_transfer/measure_load.h"

namespace mooncake::cli {

Result<LoadResult> measure_load(TransferClient& client, std::uint64_t bytes, std::uint32_t operations,
                                const std::function<Result<Chains::Seen>()>& run) {
  MC_ASSIGN_OR_RETURN(const double cpu_before, client.cpu_s());
  MC_ASSIGN_OR_RETURN(Chains::Seen seen, run());
  MC_ASSIGN_OR_RETURN(const double cpu_after, client.cpu_s());
  const std::uint64_t count = seen.latency_us.size() * operations;
  return LoadResult{.seconds = seen.seconds,
                    .operations = count,
                    .bytes = count * bytes,
                    .cpu_s = cpu_after - cpu_before,
                    .latency_us = std::move(seen.latency_us)};
}

}  // namespace mooncake::cli
