#include "cli/bench_transfer/bulk_load.h"

#include <chrono>
#include <thread>
#include <vector>

#include "cli/bench_transfer/chains.h"

namespace mooncake::cli {
namespace {

using transfer::TransferRequest;

/// A batch that takes so much longer than the whole measurement is stuck.
constexpr Seconds kPatience{30};

using Batches = std::vector<std::vector<TransferRequest>>;

/// A batch for each thread; no two requests share bytes.
Batches make_batches(TransferClient& client, const BulkShape& shape) {
  CHECK(client.local().size() >= shape.bytes() && client.remote().bytes >= shape.bytes());
  Batches batches(shape.threads);
  std::uint64_t at = 0;
  for (auto& batch : batches) {
    for (std::uint32_t i = 0; i < shape.batch; ++i, at += shape.block_bytes) {
      batch.push_back({.op = shape.op,
                       .local = client.local().subspan(at, shape.block_bytes),
                       .segment = client.remote().segment,
                       .offset = at});
    }
  }
  return batches;
}

/// One thread: the next batch begins in the callback of the one before.
Result<Chains::Seen> run_chain(TransferClient& client, const Batches& batches, Nanos duration) {
  const Deadline deadline = SteadyClock().now() + duration + kPatience;
  Chains chains(1, [&](std::uint32_t chain, Chains::Done done) {
    client.engine().submit(client.peer(), batches[chain], deadline, std::nullopt, std::move(done));
  });
  return chains.run(duration);
}

struct Submitter {
  std::vector<double> latency_us;
  Status status;

  void run(TransferClient& client, const std::vector<TransferRequest>& batch, Instant end) {
    const SteadyClock clock;
    Instant now = clock.now();
    do {  // at least once, however late this thread has been started
      status = client.engine().submit_and_wait(client.peer(), batch, end + kPatience);
      const Instant done = clock.now();
      latency_us.push_back(std::chrono::duration<double, std::micro>(done - now).count());
      now = done;
    } while (now < end && status.ok());
  }
};

/// Several threads: each submits a batch, waits for it, and submits the next.
Result<Chains::Seen> run_threads(TransferClient& client, const Batches& batches, Nanos duration) {
  std::vector<Submitter> submitters(batches.size());
  const Instant begin = SteadyClock().now();
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < batches.size(); ++i) {
      threads.emplace_back([&, i] { submitters[i].run(client, batches[i], begin + duration); });
    }
  }
  Chains::Seen seen{.seconds = std::chrono::duration<double>(SteadyClock().now() - begin).count(), .latency_us = {}};
  for (const Submitter& submitter : submitters) {
    MC_RETURN_IF_ERROR(submitter.status);
    seen.latency_us.insert(seen.latency_us.end(), submitter.latency_us.begin(), submitter.latency_us.end());
  }
  return seen;
}

}  // namespace

std::string_view op_name(TransferRequest::Op op) { return op == TransferRequest::Op::kRead ? "read" : "write"; }

Result<LoadResult> run_bulk(TransferClient& client, const BulkShape& shape, Nanos duration) {
  const Batches batches = make_batches(client, shape);
  for (const auto& batch : batches) {
    MC_RETURN_IF_ERROR(client.engine().submit_and_wait(client.peer(), batch, SteadyClock().now() + kPatience));
  }
  MC_ASSIGN_OR_RETURN(const double cpu_before, client.cpu_s());
  auto seen = shape.threads == 1 ? run_chain(client, batches, duration) : run_threads(client, batches, duration);
  MC_RETURN_IF_ERROR(seen.status());
  MC_ASSIGN_OR_RETURN(const double cpu_after, client.cpu_s());
  const std::uint64_t operations = seen->latency_us.size() * shape.batch;
  return LoadResult{.seconds = seen->seconds,
                    .operations = operations,
                    .bytes = operations * shape.block_bytes,
                    .cpu_s = cpu_after - cpu_before,
                    .latency_us = std::move(seen->latency_us)};
}

}  // namespace mooncake::cli
