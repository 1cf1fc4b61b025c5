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
#include "transfer/copy_crew.h"

namespace mooncake::cli {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kSmallBlock = 64 << 10;
constexpr std::uint32_t kMessagesInFlight = 64;
constexpr std::array<std::uint32_t, 3> kIperf3Streams = {1, 2, 4};
constexpr std::array kFileRows = {"file_read_1mib_gb_per_s", "file_write_1mib_gb_per_s", "file_read_1mib_cpu_s_per_gb",
                                  "file_write_1mib_cpu_s_per_gb"};
constexpr std::array kGpuRows = {"cuda_read_1mib_gb_per_s", "cuda_write_1mib_gb_per_s",
                                 "cuda_inside_write_1mib_gb_per_s", "cuda_read_1mib_cpu_s_per_gb",
                                 "cuda_write_1mib_cpu_s_per_gb"};

}  // namespace

Status Rounds::run(const Progress& progress) {
  if (peers_.shm != nullptr) MC_RETURN_IF_ERROR(run_shm(progress));
  if (peers_.tcp != nullptr) {
    MC_RETURN_IF_ERROR(run_tcp(progress));
    MC_RETURN_IF_ERROR(run_proofs(progress));
    MC_RETURN_IF_ERROR(run_messages(progress));
  }
  MC_RETURN_IF_ERROR(run_files(progress));
  MC_RETURN_IF_ERROR(run_gpu(progress));
  backwards_ = !backwards_;
  return {};
}

Status Rounds::in_turn(std::vector<Step> steps) {
  if (backwards_) std::ranges::reverse(steps);
  for (const Step& step : steps) MC_RETURN_IF_ERROR(step());
  return {};
}

Status Rounds::run_shm(const Progress& progress) {
  progress("shm and memcpy");
  const auto ours = [this](Op op) { return bulk(*peers_.shm, "shm", op, kMiB, "1mib"); };
  return in_turn({[&] { return ours(Op::kRead); }, [&] { return run_memcpy(); }, [&] { return ours(Op::kWrite); }});
}

Status Rounds::run_memcpy() {
  const auto threads = static_cast<std::uint32_t>(transfer::CopyCrew::size_here());
  const BulkShape shape{.op = Op::kRead, .block_bytes = kMiB, .batch = kRoundBatch / threads, .threads = threads};
  MC_ASSIGN_OR_RETURN(const LoadResult copied, cli::run_memcpy(shape, cell_));
  add("memcpy_1mib_gb_per_s", copied.gb_per_s());
  add("memcpy_1mib_cpu_s_per_gb", copied.cpu_s_per_gb());
  return {};
}

Status Rounds::run_tcp(const Progress& progress) {
  progress("tcp, iperf3, and a connection for each transfer");
  const auto large = [this](Op op) { return bulk(*peers_.tcp, "tcp", op, kMiB, "1mib"); };
  const auto small = [this](Op op) { return bulk(*peers_.tcp, "tcp", op, kSmallBlock, "64kib"); };
  return in_turn({[&] { return small(Op::kRead); }, [&] { return run_per_transfer(); },
                  [&] { return large(Op::kRead); }, [&] { return run_iperf3(), Status(); },
                  [&] { return large(Op::kWrite); }, [&] { return small(Op::kWrite); }});
}

Status Rounds::run_per_transfer() {
  MC_ASSIGN_OR_RETURN(const LoadResult each, cli::run_per_transfer(peers_.per_transfer->endpoint(), cell_));
  add("connection_per_transfer_gb_per_s", each.gb_per_s());
  return {};
}

/// Left to the scheduler, both ends may take turns on one core. Plain is as fast there, since what is on its way stays
/// in that core's cache; tls, which computes, has half of what a core for each end gives it. So that is measured, too.
Status Rounds::run_proofs(const Progress& progress) {
  progress("mac, tls and plain");
  for (const auto measure : {&Rounds::proof, &Rounds::proof_on_two_cores}) {
    for (const Op op : {Op::kRead, Op::kWrite}) {
      std::vector<Step> steps;
      for (const ProofPeer& peer : peers_.proofs) {
        steps.emplace_back([this, measure, &peer, op] { return (this->*measure)(peer, op); });
      }
      MC_RETURN_IF_ERROR(in_turn(std::move(steps)));
    }
  }
  return {};
}

Status Rounds::proof(const ProofPeer& peer, Op op) {
  MC_RETURN_IF_ERROR(bulk(*peer.client, peer.mode, op, kMiB, "1mib"));
  if (peer.client->transport() == "tcp") return {};
  return {Code::kUnavailable, fmt::format("bytes of {} go by {}, not by tcp", peer.mode, peer.client->transport())};
}

Status Rounds::proof_on_two_cores(const ProofPeer& peer, Op op) {
  constexpr std::string_view kSize = "1mib_two_cores";
  const auto pins = CorePins::set(peer.serve, Placement::kTwoCores);
  if (pins.ok()) return bulk(*peer.client, peer.mode, op, kMiB, kSize);
  for (const char* unit : {"gb_per_s", "cpu_s_per_gb"}) {
    missing_[fmt::format("{}_{}_{}_{}", peer.mode, op_name(op), kSize, unit)] = pins.status().message();
  }
  return {};
}

Status Rounds::run_messages(const Progress& progress) {
  progress("messages and ping-pong");
  MC_RETURN_IF_ERROR(round_trip(64, "64b", Placement::kOneCore));
  MC_RETURN_IF_ERROR(round_trip(1024, "1kib", Placement::kOneCore));
  MC_RETURN_IF_ERROR(round_trip(64, "64b", Placement::kTwoCores));
  MC_RETURN_IF_ERROR(round_trip(1024, "1kib", Placement::kTwoCores));
  MC_ASSIGN_OR_RETURN(const LoadResult many, cli::run_messages(*peers_.tcp, 64, kMessagesInFlight, cell_));
  add("messages_64_per_s", many.operations_per_s());
  add("messages_64_cpu_us", many.cpu_s * 1e6 / static_cast<double>(many.operations));
  return {};
}

Status Rounds::run_files(const Progress& progress) {
  if (peers_.file == nullptr) {
    if (!peers_.why_no_file.empty()) {
      for (const char* row : kFileRows) missing_[row] = peers_.why_no_file;
    }
    return {};
  }
  for (const Op op : {Op::kRead, Op::kWrite}) {
    progress(fmt::format("file {} and fio", op_name(op)));
    MC_RETURN_IF_ERROR(in_turn({[&] { return run_fio(op), Status(); }, [&] { return file(op); }}));
  }
  return {};
}

Status Rounds::file(Op op) {
  MC_ASSIGN_OR_RETURN(const LoadResult moved, run_file(*peers_.file, op, cell_));
  add(fmt::format("file_{}_1mib_gb_per_s", op_name(op)), moved.gb_per_s());
  add(fmt::format("file_{}_1mib_cpu_s_per_gb", op_name(op)), moved.cpu_s_per_gb());
  return {};
}

void Rounds::run_fio(Op op) {
  const std::string rate = fmt::format("fio_{}_gb_per_s", op_name(op));
  const std::string cpu = fmt::format("fio_{}_cpu_s_per_gb", op_name(op));
  if (peers_.fio != nullptr) {
    const auto result = peers_.fio->run(peers_.disk->path(), peers_.disk->bytes(), op, cell_);
    if (result.ok()) return add(rate, result->gb_per_s), add(cpu, result->cpu_s_per_gb);
    // As with iperf3 below: later rounds do without, too.
    peers_.fio = nullptr;
    peers_.why_no_fio = result.status().message();
  }
  missing_[rate] = missing_[cpu] = peers_.why_no_fio;
}

Status Rounds::run_gpu(const Progress& progress) {
  if (peers_.gpu == nullptr) {
    if (!peers_.why_no_gpu.empty()) {
      for (const char* row : kGpuRows) missing_[row] = peers_.why_no_gpu;
    }
    return {};
  }
  progress("GPU memory and cuMemcpyAsync");
  using Way = BenchGpu::Way;
  return in_turn({[&] { return bulk(*peers_.cuda, "cuda", Op::kRead, kMiB, "1mib"); },
                  [&] { return cuda_copy(Way::kFromGpu, "read"); },
                  [&] { return bulk(*peers_.cuda, "cuda", Op::kWrite, kMiB, "1mib"); },
                  [&] { return cuda_copy(Way::kToGpu, "write"); },
                  [&] { return bulk(*peers_.cuda_inside, "cuda_inside", Op::kWrite, kMiB, "1mib"); },
                  [&] { return cuda_copy(Way::kInside, "inside"); }});
}

Status Rounds::cuda_copy(BenchGpu::Way way, std::string_view name) {
  const BulkShape shape{.op = Op::kRead, .block_bytes = kMiB, .batch = kRoundBatch, .threads = 1};
  MC_ASSIGN_OR_RETURN(const LoadResult copied, peers_.gpu->copy(way, shape, cell_));
  add(fmt::format("cuda_copy_{}_1mib_gb_per_s", name), copied.gb_per_s());
  return {};
}

Status Rounds::bulk(TransferClient& client, std::string_view what, Op op, std::uint64_t block_bytes,
                    std::string_view size) {
  const BulkShape shape{.op = op, .block_bytes = block_bytes, .batch = kRoundBatch, .threads = 1};
  MC_ASSIGN_OR_RETURN(const LoadResult result, run_bulk(client, shape, cell_));
  const std::string name = fmt::format("{}_{}_{}", what, op_name(op), size);
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
  const std::string name = fmt::format("{}_{}_us", size, placement == Placement::kOneCore ? "one_core" : "two_cores");
  if (const auto pins = CorePins::set(peers_.ping_pong->pid(), placement); !pins.ok()) {
    missing_["round_trip_" + name] = pins.status().message();
    return {};
  }
  const auto pinned = [&](std::string_view what, pid_t other, const auto& run) -> Status {
    const auto pins = CorePins::set(other, placement);
    MC_RETURN_IF_ERROR(pins.status());
    MC_ASSIGN_OR_RETURN(const LoadResult seen, run());
    add(fmt::format("{}_{}", what, name), percentile(seen.latency_us, 50));
    return {};
  };
  const auto raw = [&] { return run_ping_pong(peers_.ping_pong->endpoint(), bytes, cell_ / 2); };
  const auto ours = [&] { return cli::run_messages(*peers_.tcp, bytes, 1, cell_ / 2); };
  return in_turn({[&] { return pinned("ping_pong", peers_.ping_pong->pid(), raw); },
                  [&] { return pinned("round_trip", peers_.serve, ours); }});
}

}  // namespace mooncake::cli
