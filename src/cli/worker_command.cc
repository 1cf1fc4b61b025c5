// `mooncake worker --role prefill|decode`: an engine that serves its half of a request, or the other half when a
// gateway asks it to.
#include <optional>
#include <string>

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

Result<serve::WorkerConfig> worker_config(const Invocation& invocation, serve::WorkerRole role) {
  const Config& config = invocation.config;
  serve::WorkerConfig worker;
  worker.role = role;
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

/// Serves in one role until the process is to end, or until a gateway wants the other role, which is then in `wanted`.
int run_role(const Invocation& invocation, serve::WorkerRole role, std::optional<serve::WorkerRole>& wanted) {
  return run_member(invocation, "worker", [&](ServiceProcess& process) -> Status {
    MC_RETURN_IF_ERROR(process.start_admin(invocation.config.text("worker.metrics")));
    MC_ASSIGN_OR_RETURN(serve::WorkerConfig config, worker_config(invocation, role));
    serve::WorkerCallbacks callbacks{
        .joined = [&process, role] { process.announce_ready({.role = std::string(worker_role_name(role))}); },
        .take_role =
            [&process, &wanted](serve::WorkerRole other) {
              wanted = other;
              process.loop().stop();
            }};
    MC_ASSIGN_OR_RETURN(const auto service,
                        serve::WorkerService::create(std::move(config), process.transfer(), process.loop(),
                                                     process.metrics(), std::move(callbacks)));
    process.run([&service](Deadline deadline, Task done) { service->drain(deadline, std::move(done)); });
    return {};
  });
}

}  // namespace

// A change of role is a new life in every respect but the process: engine, memory, connections and epoch are new.
int run_worker(const Invocation& invocation) {
  const auto configured = serve::parse_worker_role(invocation.config.text("worker.role"));
  if (!configured.ok()) return fail(configured.status());
  std::optional<serve::WorkerRole> role = *configured;
  int status = kExitOk;
  while (status == kExitOk && role) {
    std::optional<serve::WorkerRole> wanted;
    status = run_role(invocation, *role, wanted);
    role = wanted;
  }
  return status;
}

}  // namespace mooncake::cli
