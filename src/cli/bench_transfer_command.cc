// `mooncake bench transfer`: how fast the transfer engine is between two processes of this machine, with a file,
// and with a GPU, beside what the machine can do: a sweep, then rounds of our figures and their baselines in turn
// (bench_transfer/targets.h).
#include <fmt/core.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <optional>
#include <vector>

#include "cli/bench_progress.h"
#include "cli/bench_transfer/bench_credentials.h"
#include "cli/bench_transfer/forked_server.h"
#include "cli/bench_transfer/per_transfer.h"
#include "cli/bench_transfer/ping_pong.h"
#include "cli/bench_transfer/rounds.h"
#include "cli/bench_transfer/serve_process.h"
#include "cli/bench_transfer/sweep_options.h"
#include "cli/bench_transfer/transfer_report.h"
#include "cli/tool_commands.h"

namespace mooncake::cli {
namespace {

constexpr std::string_view kSection = "bench_transfer";

/// Everything that runs beside this process. Made before it has threads (forked_server.h).
struct Peers {
  ForkedServer ping_pong;
  ForkedServer per_transfer;
  ServeProcess serve;
  std::optional<ServeProcess> serve_mac;  ///< where tcp is measured
  std::optional<ServeProcess> serve_tls;
  std::optional<Iperf3> iperf3;
  std::string why_no_iperf3;
};

/// The file and what it is compared with, as far as they are there.
struct Disk {
  std::optional<BenchFile> file;
  std::string why_no_file;
  std::optional<Fio> fio;
  std::string why_no_fio;
};

/// The GPU, as far as there is one. Made before the engines that have its memory, to outlive them.
struct Gpu {
  std::unique_ptr<BenchGpu> memory;
  std::string why_not;
};

bool wanted(const SweepPlan& plan, std::string_view transport) {
  return std::ranges::find(plan.transports, transport) != plan.transports.end();
}

Result<Peers> start_peers(const Invocation& invocation, const SweepPlan& plan, const BenchCredentials& credentials,
                          std::uint64_t bytes) {
  MC_ASSIGN_OR_RETURN(ForkedServer ping_pong, ForkedServer::start(serve_ping_pong));
  MC_ASSIGN_OR_RETURN(ForkedServer per_transfer, ForkedServer::start(serve_per_transfer));
  MC_ASSIGN_OR_RETURN(ServeProcess serve, ServeProcess::start(invocation.program, bytes, {}));
  Peers peers{.ping_pong = std::move(ping_pong),
              .per_transfer = std::move(per_transfer),
              .serve = std::move(serve),
              .serve_mac = std::nullopt,
              .serve_tls = std::nullopt,
              .iperf3 = std::nullopt,
              .why_no_iperf3 = {}};
  if (wanted(plan, "tcp")) {
    MC_ASSIGN_OR_RETURN(peers.serve_mac, ServeProcess::start(invocation.program, kRoundBytes, credentials.mac()));
    MC_ASSIGN_OR_RETURN(peers.serve_tls, ServeProcess::start(invocation.program, kRoundBytes, credentials.tls()));
  }
  if (auto iperf3 = Iperf3::start(variable(invocation.environment, "PATH")); iperf3.ok()) {
    peers.iperf3.emplace(std::move(*iperf3));
  } else {
    peers.why_no_iperf3 = iperf3.status().message();
  }
  return peers;
}

/// A disk that has no room takes nothing else with it.
Disk make_disk(const Invocation& invocation, const SweepPlan& plan) {
  Disk disk;
  if (!wanted(plan, "file")) return disk;
  const std::uint64_t pieces = (std::max(plan.bytes_max(), kRoundFileBytes) + kFileBlockBytes - 1) / kFileBlockBytes;
  auto file = BenchFile::create(invocation.config.text("bench_transfer.directory"), pieces * kFileBlockBytes);
  if (file.ok()) {
    disk.file.emplace(std::move(*file));
  } else {
    disk.why_no_file = "--directory: " + file.status().message();
    fmt::print(stderr, "file: not measured: {}\n", disk.why_no_file);
  }
  if (auto fio = Fio::find(variable(invocation.environment, "PATH")); fio.ok()) {
    disk.fio.emplace(std::move(*fio));
  } else {
    disk.why_no_fio = fio.status().message();
  }
  return disk;
}

Gpu find_gpu(const SweepPlan& plan, std::uint64_t bytes) {
  Gpu gpu;
  if (!wanted(plan, "cuda")) return gpu;
  auto opened = BenchGpu::open(bytes);
  if (!opened.ok()) {
    gpu.why_not = opened.status().message();
  } else if ((*opened)->simulated()) {
    gpu.why_not = fmt::format("no GPU: the driver is a test double ({})", (*opened)->name());
  } else {
    gpu.memory = std::move(*opened);
  }
  if (!gpu.why_not.empty()) fmt::print(stderr, "cuda: not measured: {}\n", gpu.why_not);
  return gpu;
}

/// A client for each transport of the plan, and with tcp for each way to prove oneself, all with memory of their own.
/// Null: not asked for, or there is no file or GPU.
struct Clients {
  std::unique_ptr<TransferClient> mem;
  std::unique_ptr<TransferClient> shm;
  std::unique_ptr<TransferClient> tcp;
  std::unique_ptr<TransferClient> mac;
  std::unique_ptr<TransferClient> tls;
  std::unique_ptr<TransferClient> file;
  std::unique_ptr<TransferClient> cuda;
  std::unique_ptr<TransferClient> cuda_inside;  ///< local memory is the GPU's, too

  [[nodiscard]] TransferClient* of(std::string_view transport) const {
    if (transport == "file") return file.get();
    if (transport == "cuda") return cuda.get();
    return transport == "mem" ? mem.get() : transport == "shm" ? shm.get() : tcp.get();
  }
};

/// Over tcp: shared memory would go past what is to be measured.
Status connect_with_proofs(const Peers& peers, const BenchCredentials& credentials, Clients& clients) {
  MC_ASSIGN_OR_RETURN(clients.mac,
                      TransferClient::connect(peers.serve_mac->endpoint(), {.auth = credentials.mac(), .shm = false}));
  MC_ASSIGN_OR_RETURN(clients.tls,
                      TransferClient::connect(peers.serve_tls->endpoint(), {.auth = credentials.tls(), .shm = false}));
  MC_RETURN_IF_ERROR(clients.mac->allocate_local(kRoundBytes));
  return clients.tls->allocate_local(kRoundBytes);
}

Result<Clients> connect(const SweepPlan& plan, const Peers& peers, const BenchCredentials& credentials,
                        const Disk& disk, const Gpu& gpu, std::uint64_t bytes) {
  const std::string& endpoint = peers.serve.endpoint();
  Clients clients;
  if (wanted(plan, "mem")) {
    MC_ASSIGN_OR_RETURN(clients.mem, TransferClient::connect_to_itself(bytes));
  }
  if (wanted(plan, "shm")) {
    MC_ASSIGN_OR_RETURN(clients.shm, TransferClient::connect(endpoint, {.shm = true}));
  }
  if (wanted(plan, "tcp")) {
    MC_ASSIGN_OR_RETURN(clients.tcp, TransferClient::connect(endpoint, {.shm = false}));
    MC_RETURN_IF_ERROR(connect_with_proofs(peers, credentials, clients));
  }
  if (disk.file) {
    MC_ASSIGN_OR_RETURN(clients.file, TransferClient::open_file(disk.file->path(), disk.file->bytes()));
  }
  if (gpu.memory) {
    MC_ASSIGN_OR_RETURN(clients.cuda, TransferClient::open_gpu(gpu.memory->memory()));
    MC_ASSIGN_OR_RETURN(clients.cuda_inside, TransferClient::open_gpu(gpu.memory->memory()));
    MC_RETURN_IF_ERROR(clients.cuda_inside->use_gpu(gpu.memory->other_memory()));
  }
  for (TransferClient* client :
       {clients.mem.get(), clients.shm.get(), clients.tcp.get(), clients.file.get(), clients.cuda.get()}) {
    if (client != nullptr) MC_RETURN_IF_ERROR(client->allocate_local(bytes));
  }
  return clients;
}

std::vector<ProofPeer> proof_peers(const Clients& clients, const Peers& peers) {
  if (clients.tcp == nullptr) return {};
  return {{.mode = "mac", .client = clients.mac.get(), .serve = peers.serve_mac->pid()},
          {.mode = "plain", .client = clients.tcp.get(), .serve = peers.serve.pid()},
          {.mode = "tls", .client = clients.tls.get(), .serve = peers.serve_tls->pid()}};
}

/// Moves the bar on: a part of the whole run for each measurement.
class Progress {
 public:
  explicit Progress(std::size_t steps) : steps_(steps) {}
  void step(std::string_view what) { bar_.show(static_cast<double>(done_++) / static_cast<double>(steps_), what); }

 private:
  BenchProgress bar_;
  std::size_t done_ = 0;
  const std::size_t steps_;
};

Status measure(const Invocation& invocation, const SweepPlan& plan, TransferReport& report) {
  const auto rounds_count = static_cast<std::size_t>(invocation.config.integer("bench_transfer.rounds"));
  const std::uint64_t bytes = std::max(plan.bytes_max(), kRoundBytes);
  MC_ASSIGN_OR_RETURN(const BenchCredentials credentials, BenchCredentials::create());
  MC_ASSIGN_OR_RETURN(Peers peers, start_peers(invocation, plan, credentials, bytes));
  const Disk disk = make_disk(invocation, plan);
  const Gpu gpu = find_gpu(plan, bytes);
  if (gpu.memory) report.settings["gpu"] = gpu.memory->name();
  MC_ASSIGN_OR_RETURN(const Clients clients, connect(plan, peers, credentials, disk, gpu, bytes));
  constexpr std::size_t kStepsARound = 7;
  Progress bar(plan.transports.size() * plan.shapes().size() + rounds_count * kStepsARound);
  const auto progress = [&bar](std::string_view what) { bar.step(what); };
  for (const std::string& transport : plan.transports) {
    TransferClient* const client = clients.of(transport);
    if (client == nullptr) continue;
    MC_ASSIGN_OR_RETURN(std::vector<SweepCell> cells, run_sweep(*client, transport, plan, progress));
    std::ranges::move(cells, std::back_inserter(report.sweep));
  }
  Rounds rounds({.shm = clients.shm.get(),
                 .tcp = clients.tcp.get(),
                 .file = clients.file.get(),
                 .disk = disk.file ? &*disk.file : nullptr,
                 .why_no_file = disk.why_no_file,
                 .serve = peers.serve.pid(),
                 .ping_pong = &peers.ping_pong,
                 .per_transfer = &peers.per_transfer,
                 .iperf3 = peers.iperf3 ? &*peers.iperf3 : nullptr,
                 .why_no_iperf3 = peers.why_no_iperf3,
                 .proofs = proof_peers(clients, peers),
                 .fio = disk.fio ? &*disk.fio : nullptr,
                 .why_no_fio = disk.why_no_fio,
                 .gpu = gpu.memory.get(),
                 .why_no_gpu = gpu.why_not,
                 .cuda = clients.cuda.get(),
                 .cuda_inside = clients.cuda_inside.get()},
                plan.cell);
  for (std::size_t i = 0; i < rounds_count; ++i) MC_RETURN_IF_ERROR(rounds.run(progress));
  if (rounds_count == 0) return {};
  report.rounds = rounds.series();
  report.targets = judge(transfer_targets(), report.rounds, rounds.missing());
  return {};
}

}  // namespace

int run_bench_transfer_command(const Invocation& invocation) {
  std::signal(SIGPIPE, SIG_IGN);  // a peer that is gone is an error code, not a signal
  const Config& config = invocation.config;
  auto plan = sweep_plan(config, kSection, {"mem", "shm", "tcp", "file", "cuda"});
  if (!plan.ok()) return (void)fail(plan.status()), kExitUsage;
  TransferReport report{
      .benchmark = "transfer", .settings = sweep_settings(config, kSection), .sweep = {}, .targets = {}, .rounds = {}};
  report.settings["directory"] = config.text("bench_transfer.directory");
  report.settings["rounds"] = std::to_string(config.integer("bench_transfer.rounds"));
  Status status = measure(invocation, *plan, report);
  if (status.ok()) status = publish_transfer(report, config.text("bench_transfer.json"));
  return status.ok() ? kExitOk : fail(status);
}

}  // namespace mooncake::cli
