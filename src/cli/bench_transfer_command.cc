// `mooncake bench transfer`: how fast the transfer engine is between two processes of this machine, beside what the
// machine can do: a sweep, then rounds of our figures and their baselines in turn (bench_transfer/targets.h).
#include <fmt/core.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <optional>

#include "cli/bench_progress.h"
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
  std::optional<Iperf3> iperf3;
  std::string why_no_iperf3;
};

Result<Peers> start_peers(const Invocation& invocation, std::uint64_t bytes) {
  MC_ASSIGN_OR_RETURN(ForkedServer ping_pong, ForkedServer::start(serve_ping_pong));
  MC_ASSIGN_OR_RETURN(ForkedServer per_transfer, ForkedServer::start(serve_per_transfer));
  MC_ASSIGN_OR_RETURN(ServeProcess serve, ServeProcess::start(invocation.program, bytes));
  Peers peers{.ping_pong = std::move(ping_pong),
              .per_transfer = std::move(per_transfer),
              .serve = std::move(serve),
              .iperf3 = std::nullopt,
              .why_no_iperf3 = {}};
  if (auto iperf3 = Iperf3::start(variable(invocation.environment, "PATH")); iperf3.ok()) {
    peers.iperf3.emplace(std::move(*iperf3));
  } else {
    peers.why_no_iperf3 = iperf3.status().message();
  }
  return peers;
}

/// A client for each transport of the plan, with memory of its own. Null: not asked for.
struct Clients {
  std::unique_ptr<TransferClient> mem;
  std::unique_ptr<TransferClient> shm;
  std::unique_ptr<TransferClient> tcp;

  [[nodiscard]] TransferClient& of(std::string_view transport) const {
    return transport == "mem" ? *mem : transport == "shm" ? *shm : *tcp;
  }
};

Result<Clients> connect(const SweepPlan& plan, const std::string& endpoint, std::uint64_t bytes) {
  const auto wanted = [&](std::string_view name) {
    return std::ranges::find(plan.transports, name) != plan.transports.end();
  };
  Clients clients;
  if (wanted("mem")) {
    MC_ASSIGN_OR_RETURN(clients.mem, TransferClient::connect_to_itself(bytes));
  }
  if (wanted("shm")) {
    MC_ASSIGN_OR_RETURN(clients.shm, TransferClient::connect(endpoint, true));
  }
  if (wanted("tcp")) {
    MC_ASSIGN_OR_RETURN(clients.tcp, TransferClient::connect(endpoint, false));
  }
  for (TransferClient* client : {clients.mem.get(), clients.shm.get(), clients.tcp.get()}) {
    if (client != nullptr) MC_RETURN_IF_ERROR(client->allocate_local(bytes));
  }
  return clients;
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
  MC_ASSIGN_OR_RETURN(Peers peers, start_peers(invocation, bytes));
  MC_ASSIGN_OR_RETURN(const Clients clients, connect(plan, peers.serve.endpoint(), bytes));
  constexpr std::size_t kStepsARound = 5;
  Progress bar(plan.transports.size() * plan.shapes().size() + rounds_count * kStepsARound);
  const auto progress = [&bar](std::string_view what) { bar.step(what); };
  for (const std::string& transport : plan.transports) {
    MC_ASSIGN_OR_RETURN(std::vector<SweepCell> cells, run_sweep(clients.of(transport), transport, plan, progress));
    std::ranges::move(cells, std::back_inserter(report.sweep));
  }
  Rounds rounds({.shm = clients.shm.get(),
                 .tcp = clients.tcp.get(),
                 .serve = peers.serve.pid(),
                 .ping_pong = &peers.ping_pong,
                 .per_transfer = &peers.per_transfer,
                 .iperf3 = peers.iperf3 ? &*peers.iperf3 : nullptr,
                 .why_no_iperf3 = peers.why_no_iperf3},
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
  auto plan = sweep_plan(config, kSection, {"mem", "shm", "tcp"});
  if (!plan.ok()) return (void)fail(plan.status()), kExitUsage;
  TransferReport report{
      .benchmark = "transfer", .settings = sweep_settings(config, kSection), .sweep = {}, .targets = {}, .rounds = {}};
  report.settings["rounds"] = std::to_string(config.integer("bench_transfer.rounds"));
  Status status = measure(invocation, *plan, report);
  if (status.ok()) status = publish_transfer(report, config.text("bench_transfer.json"));
  return status.ok() ? kExitOk : fail(status);
}

}  // namespace mooncake::cli
