// `mooncake transfer bench`: the sweep of `bench transfer` against a `transfer serve` that runs somewhere else.
#include <csignal>

#include "cli/bench_progress.h"
#include "cli/bench_transfer/sweep_options.h"
#include "cli/bench_transfer/transfer_report.h"
#include "cli/tool_commands.h"
#include "cli/transfer/trace_file.h"

namespace mooncake::cli {
namespace {

constexpr std::string_view kSection = "transfer_bench";

Status measure(const Config& config, const SweepPlan& plan, TraceFile* trace, TransferReport& report) {
  const std::size_t cells = plan.transports.size() * plan.shapes().size();
  BenchProgress bar;
  std::size_t done = 0;
  const auto progress = [&](std::string_view what) {
    bar.show(static_cast<double>(done++) / static_cast<double>(cells), what);
  };
  for (const std::string& transport : plan.transports) {
    TransferClientOptions options = transfer_client_options(config, kSection);
    options.shm = transport == "shm";
    MC_ASSIGN_OR_RETURN(const std::unique_ptr<TransferClient> client,
                        TransferClient::connect(config.text("transfer_bench.peer"), std::move(options)));
    MC_RETURN_IF_ERROR(check_room(client->remote(), plan));
    MC_RETURN_IF_ERROR(client->allocate_local(plan.bytes_max()));
    const TraceScope traced(trace, client->engine());
    MC_ASSIGN_OR_RETURN(std::vector<SweepCell> swept, run_sweep(*client, transport, plan, progress));
    std::ranges::move(swept, std::back_inserter(report.sweep));
  }
  return {};
}

}  // namespace

int run_transfer_bench(const Invocation& invocation) {
  std::signal(SIGPIPE, SIG_IGN);  // a peer that is gone is an error code, not a signal
  const Config& config = invocation.config;
  auto plan = sweep_plan(config, kSection, {"shm", "tcp"});
  if (!plan.ok()) return (void)fail(plan.status()), kExitUsage;
  TransferReport report{.benchmark = "transfer sweep",
                        .settings = sweep_settings(config, kSection),
                        .sweep = {},
                        .targets = {},
                        .rounds = {}};
  report.settings["auth"] = config.text("transfer_bench.auth");
  TraceFile trace;
  const std::string& trace_path = config.text("transfer_bench.trace");
  Status status = measure(config, *plan, trace_path.empty() ? nullptr : &trace, report);
  if (status.ok()) status = trace.write(trace_path);
  if (status.ok()) status = publish_transfer(report, config.text("transfer_bench.json"));
  return status.ok() ? kExitOk : fail(status);
}

}  // namespace mooncake::cli
