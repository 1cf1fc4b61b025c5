// `mooncake worker --role prefill|decode`: an engine that serves its half of a request.
#include "cli/role_commands.h"
#include "cli/service_process.h"
#include "serve/worker/worker_service.h"

namespace mooncake::cli {
namespace {

/// Requests in one decode batch when the user does not say. Eight streams of a small model fit a laptop's memory
/// (8 x 2,048 tokens x 23 KB = 370 MB); the simulated engine holds next to nothing.
constexpr std::uint32_t kDecodeSequences = 8;
constexpr std::uint32_t kSimulatedDecodeSequences = 32;

std::uint32_t sequences_max(std::int64_t wanted, serve::WorkerRole role, const std::string& engine) {
  if (wanted > 0) return static_cast<std::uint32_t>(wanted);
  if (role == serve::WorkerRole::kPrefill) return 1;
  return engine == "simulated" ? kSimulatedDecodeSequences : kDecodeSequences;
}

Result<serve::WorkerConfig> worker_config(const Invocation& invocation) {
  const Config& config = invocation.config;
  serve::WorkerConfig worker;
  MC_ASSIGN_OR_RETURN(worker.role, serve::parse_worker_role(config.text("worker.role")));
  worker.name = config.text("worker.name");
  worker.master = config.text("worker.master");
  worker.attached_node = config.text("worker.node");
  worker.arena_bytes = static_cast<std::uint64_t>(config.integer("worker.arena_bytes"));
  worker.engine.kind = config.text("worker.engine");
  MC_ASSIGN_OR_RETURN(worker.engine.model_path,
                      resolve_model(worker.engine.kind, config.text("worker.model"), invocation.environment));
  worker.engine.threads = static_cast<std::uint32_t>(config.integer("worker.threads"));
  worker.engine.sequences_max = sequences_max(config.integer("worker.sequences_max"), worker.role, worker.engine.kind);
  worker.engine.context_tokens = static_cast<std::uint32_t>(config.integer("worker.context_tokens"));
  worker.engine.chunk_tokens = static_cast<std::uint32_t>(config.integer("worker.chunk_tokens"));
  return worker;
}

}  // namespace

int run_worker(const Invocation& invocation) {
  return run_member(invocation, "worker", [&](ServiceProcess& process) -> Status {
    MC_RETURN_IF_ERROR(process.start_admin(invocation.config.text("worker.metrics")));
    MC_ASSIGN_OR_RETURN(serve::WorkerConfig config, worker_config(invocation));
    MC_ASSIGN_OR_RETURN(const auto service,
                        serve::WorkerService::create(std::move(config), process.transfer(), process.loop(),
                                                     process.metrics(), [&process] { process.announce_ready(); }));
    process.run([&service](Deadline deadline, Task done) { service->drain(deadline, std::move(done)); });
    return {};
  });
}

}  // namespace mooncake::cli
