// `mooncake worker --role prefill|decode`: an engine that serves its half of a request, or the other half when a
// gateway asks it to.
#include <memory>
#include <optional>
#include <string>
#include <utility>

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
    std::unique_ptr<serve::WorkerService> service;
    // The service ends while the loop still runs, so that a signal in that time, which may be long, is heard.
    const auto end = [&process, &service] {
      service.reset();
      process.loop().post([&process] { process.loop().stop(); });
    };
    serve::WorkerCallbacks callbacks{
        .joined = [&process, role] { process.announce_ready({.role = std::string(worker_role_name(role))}); },
        .take_role =
            [&process, &wanted, end](serve::WorkerRole other) {
              wanted = other;
              process.loop().post(end);  // not from within the service
            }};
    MC_ASSIGN_OR_RETURN(service, serve::WorkerService::create(std::move(config), process.transfer(), process.loop(),
                                                              process.metrics(), std::move(callbacks)));
    process.run([&service](Deadline deadline, Task done) {
      if (service == nullptr) return done();
      service->drain(deadline, std::move(done));
    });
    if (process.told_to_end()) wanted.reset();
    return {};
  });
}

}  // namespace

// A change of role is a new life in every respect but the process: engine, memory, connections and epoch are new.
int run_worker(const Invocation& invocation) {
  // The option table allows no other value.
  std::optional role = serve::parse_worker_role(invocation.config.text("worker.role")).value();
  int status = kExitOk;
  while (status == kExitOk && role) {
    std::optional<serve::WorkerRole> wanted;
    status = run_role(invocation, *role, wanted);
    role = wanted;
  }
  return status;
}

}  // namespace mooncake::cli
