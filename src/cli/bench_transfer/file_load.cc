#include "cli/bench_transfer/file_load.h"

#include <atomic>

#include "cli/bench_transfer/chains.h"
#include "cli/bench_transfer/measure_load.h"

namespace mooncake::cli {
namespace {

/// An operation that takes so much longer than the whole measurement is stuck.
constexpr Seconds kPatience{30};

}  // namespace

Result<LoadResult> run_file(TransferClient& client, transfer::TransferRequest::Op op, Nanos duration) {
  const std::uint64_t blocks = client.remote().bytes / kFileBlockBytes;
  CHECK(blocks > 0 && client.local().size() >= kFileDepth * kFileBlockBytes);
  const Deadline deadline = SteadyClock().now() + duration + kPatience;
  std::atomic<std::uint64_t> next = 0;  // the first of each chain begins on this thread, the others on the engine's
  Chains chains(kFileDepth, [&](std::uint32_t chain, Chains::Done done) {
    const transfer::TransferRequest request{.op = op,
                                            .local = client.local().subspan(chain * kFileBlockBytes, kFileBlockBytes),
                                            .segment = client.remote().segment,
                                            .offset = next++ % blocks * kFileBlockBytes};
    client.engine().submit(client.peer(), {&request, 1}, deadline, std::nullopt, std::move(done));
  });
  return measure_load(client, kFileBlockBytes, 1, [&] { return chains.run(duration); });
}

}  // namespace mooncake::cli
