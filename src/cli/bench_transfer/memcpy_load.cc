#include "cli/bench_transfer/memcpy_load.h"

#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "cli/transfer/segment_service.h"
#include "transfer/shm/pool_set.h"

namespace mooncake::cli {
namespace {

/// One batch: the blocks of one thread.
void copy_batch(const BulkShape& shape, ByteSpan target, ConstByteSpan source) {
  for (std::uint32_t i = 0; i < shape.batch; ++i) {
    const std::uint64_t at = i * shape.block_bytes;
    std::memcpy(target.data() + at, source.data() + at, shape.block_bytes);
  }
}

std::vector<double> copy_until(Instant end, const BulkShape& shape, ByteSpan target, ConstByteSpan source) {
  std::vector<double> latency_us;
  const SteadyClock clock;
  Instant now = clock.now();
  do {  // at least once, however late this thread has been started
    copy_batch(shape, target, source);
    const Instant done = clock.now();
    latency_us.push_back(std::chrono::duration<double, std::micro>(done - now).count());
    now = done;
  } while (now < end);
  return latency_us;
}

}  // namespace

Result<LoadResult> run_memcpy(const BulkShape& shape, Nanos duration) {
  transfer::PoolSet pools;
  MC_ASSIGN_OR_RETURN(const ByteSpan target, pools.allocate(shape.bytes()));
  MC_ASSIGN_OR_RETURN(const ByteSpan source, pools.allocate(shape.bytes()));
  fill_with_noise(source, 1);
  std::memcpy(target.data(), source.data(), target.size());
  std::vector<std::vector<double>> latencies(shape.threads);
  const SteadyClock clock;
  const double cpu_before = process_cpu_s();
  const Instant begin = clock.now();
  {
    const std::uint64_t share = shape.bytes() / shape.threads;
    std::vector<std::jthread> threads;  // last: they use all of the above until they are joined
    for (std::uint32_t i = 0; i < shape.threads; ++i) {
      threads.emplace_back([&, i] {
        latencies[i] =
            copy_until(begin + duration, shape, target.subspan(i * share, share), source.subspan(i * share, share));
      });
    }
  }
  LoadResult result;
  result.seconds = std::chrono::duration<double>(clock.now() - begin).count();
  result.cpu_s = process_cpu_s() - cpu_before;
  for (const auto& each : latencies) result.latency_us.insert(result.latency_us.end(), each.begin(), each.end());
  result.operations = result.latency_us.size() * shape.batch;
  result.bytes = result.operations * shape.block_bytes;
  return result;
}

}  // namespace mooncake::cli
