#include "cli/bench_transfer/rounds.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "cli/bench_stats.h"
#include "cli/bench_transfer/bulk_load.h"
#include "cli/bench_transfer/memcpy_load.h"
#include "cli/bench_transfer/message_load.h"
#include "cli/bench_transfer/per_transfer.h"
#include "cli/bench_transfer/ping_pong.h"

namespace mooncake::cli {
namespace {

using Op = transfer::TransferRequest::Op;

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kSmallBlock = 64 << 10;
constexpr std::uint32_t kMessagesInFlight = 64;
constexpr std::array<std::uint32_t, 3> kIperf3Streams = {1, 2, 4};

}  // namespace

Status Rounds::run(const Progress& progress) {
  if (peers_.shm != nullptr) MC_RETURN_IF_ERROR(run_shm(progress));
  if (peers_.tcp == nullptr) return {};
  MC_RETURN_IF_ERROR(run_tcp(progress));
  return run_messages(progress);
}

Status Rounds::run_shm(const Progress& progress) {
  progress("shm and memcpy");
  MC_RETURN_IF_ERROR(bulk(*peers_.shm, "shm", Op::kRead, kMiB, "1mib"));
  const BulkShape shape{.op = Op::kRead, .block_bytes = kMiB, .batch = kRoundBatch, .threads = 1};
  MC_ASSIGN_OR_RETURN(const LoadResult copied, run_memcpy(shape, cell_));
  add("memcpy_1mib_gb_per_s", copied.gb_per_s());
  add("memcpy_1mib_cpu_s_per_gb", copied.cpu_s_per_gb());
  return bulk(*peers_.shm, "shm", Op::kWrite, kMiB, "1mib");
}

Status Rounds::run_tcp(const Progress& progress) {
  progress("tcp and a connection for each transfer");
  MC_ASSIGN_OR_RETURN(const LoadResult each, run_per_transfer(peers_.per_transfer->endpoint(), cell_));
  add("connection_per_transfer_gb_per_s", each.gb_per_s());
  MC_RETURN_IF_ERROR(bulk(*peers_.tcp, "tcp", Op::kRead, kMiB, "1mib"));
  MC_RETURN_IF_ERROR(bulk(*peers_.tcp, "tcp", Op::kRead, kSmallBlock, "64kib"));
  progress("iperf3");
  run_iperf3();
  progress("tcp");
  MC_RETURN_IF_ERROR(bulk(*peers_.tcp, "tcp", Op::kWrite, kMiB, "1mib"));
  return bulk(*peers_.tcp, "tcp", Op::kWrite, kSmallBlock, "64kib");
}

Status Rounds::run_messages(const Progress& progress) {
  progress("messages and ping-pong");
  MC_RETURN_IF_ERROR(round_trip(64, "64b", Placement::kOneCore));
  MC_RETURN_IF_ERROR(round_trip(1024, "1kib", Placement::kOneCore));
  MC_RETURN_IF_ERROR(round_trip(64, "64b", Placement::kTwoCores));
  MC_RETURN_IF_ERROR(round_trip(1024, "1kib", Placement::kTwoCores));
  MC_ASSIGN_OR_RETURN(const LoadResult many, cli::run_messages(*peers_.tcp, 64, kMessagesInFlight, cell_));
  add("messages_64_per_s", many.operations_per_s());
  return {};
}

Status Rounds::bulk(TransferClient& client, std::string_view transport, Op op, std::uint64_t block_bytes,
                    std::string_view size) {
  const BulkShape shape{.op = op, .block_bytes = block_bytes, .batch = kRoundBatch, .threads = 1};
  MC_ASSIGN_OR_RETURN(const LoadResult result, run_bulk(client, shape, cell_));
  const std::string name = fmt::format("{}_{}_{}", transport, op_name(op), size);
  add(name + "_gb_per_s", result.gb_per_s());
  add(name + "_cpu_s_per_gb", result.cpu_s_per_gb());
  return {};
}

void Rounds::run_iperf3() {
  const auto duration = std::max(Seconds(1), std::chrono::ceil<Seconds>(cell_));
  Iperf3Result best;
  for (const std::uint32_t streams : kIperf3Streams) {
    if (peers_.iperf3 == nullptr) break;
    const auto result = peers_.iperf3->run(streams, duration);
    if (result.ok() && result->gb_per_s > best.gb_per_s) best = *result;
    if (result.ok()) continue;
    // A baseline that fails takes nothing else with it; later rounds do without, too.
    peers_.iperf3 = nullptr;
    peers_.why_no_iperf3 = result.status().message();
  }
  if (peers_.iperf3 == nullptr) {
    for (const char* name : {"iperf3_gb_per_s", "iperf3_cpu_s_per_gb"}) missing_[name] = peers_.why_no_iperf3;
    return;
  }
  add("iperf3_gb_per_s", best.gb_per_s);
  add("iperf3_cpu_s_per_gb", best.cpu_s_per_gb);
}

Status Rounds::round_trip(std::uint64_t bytes, std::string_view size, Placement placement) {
  const std::string where = placement == Placement::kOneCore ? "one_core" : "two_cores";
  {
    const auto pins = CorePins::set(peers_.ping_pong->pid(), placement);
    if (!pins.ok()) {
      missing_[fmt::format("round_trip_{}_{}_us", size, where)] = pins.status().message();
      return {};
    }
    MC_ASSIGN_OR_RETURN(const LoadResult raw, run_ping_pong(peers_.ping_pong->endpoint(), bytes, cell_ / 2));
    add(fmt::format("ping_pong_{}_{}_us", size, where), percentile(raw.latency_us, 50));
  }
  const auto pins = CorePins::set(peers_.serve, placement);
  MC_RETURN_IF_ERROR(pins.status());
  MC_ASSIGN_OR_RETURN(const LoadResult ours, cli::run_messages(*peers_.tcp, bytes, 1, cell_ / 2));
  add(fmt::format("round_trip_{}_{}_us", size, where), percentile(ours.latency_us, 50));
  return {};
}

}  // namespace mooncake::cli
