// `mooncake up`: a whole cluster on this machine, as separate processes.
#include <fmt/core.h>
#include <unistd.h>

#include <thread>

#include "base/log.h"
#include "base/rng.h"
#include "cli/auth_options.h"
#include "cli/profile_option.h"
#include "cli/tenants_file.h"
#include "cli/tool_commands.h"
#include "cli/up/supervisor.h"

namespace mooncake::cli {
namespace {

Result<UpConfig> up_config(const Invocation& invocation) {
  const Config& config = invocation.config;
  const auto count = [&](std::string_view key) { return static_cast<std::uint32_t>(config.integer(key)); };
  UpConfig up;
  up.http = config.text("up.http");
  up.prefill = count("up.prefill");
  up.decode = count("up.decode");
  up.nodes = count("up.nodes");
  up.engine = config.text("up.engine");
  MC_ASSIGN_OR_RETURN(up.model, resolve_model(up.engine, config.text("up.model"), invocation.environment));
  up.run_dir = config.text("up.run_dir");
  if (up.run_dir.empty()) up.run_dir = default_run_dir(invocation.environment);
  up.profile = config.text("up.profile");
  MC_RETURN_IF_ERROR(resolve_profile(up.profile, up.engine).status());  // told at once, not by a gateway that ends
  up.placement = config.text("up.placement");
  up.admission = config.text("up.admission");
  up.tenants = config.text("up.tenants");
  MC_RETURN_IF_ERROR(read_tenants(up.tenants).status());  // likewise
  up.decision_log = config.text("up.decision_log");
  up.elastic = config.boolean("up.elastic");
  up.replicate = config.boolean("up.replicate");
  up.t_d_s = config.number("up.t_d_s");
  up.ttft_slo_s = config.number("up.ttft_slo_s");
  up.tbt_slo_ms = config.number("up.tbt_slo_ms");
  up.pool_bytes = static_cast<std::uint64_t>(config.integer("up.pool_bytes"));
  up.eviction = config.text("up.eviction");
  up.threads = count("up.threads");
  up.restart = config.boolean("up.restart");
  up.log_level = config.text("up.log_level");
  up.cluster_id = fmt::format("up-{:016x}", random_seed());
  up.auth = auth_config(config, "up");
  up.config_file = invocation.config_file;
  return up;
}

/// Whoever starts a cluster by hand wants to know where it is and what to type next.
void print_summary(const UpConfig& up, const RunDir& dir, const std::string& url, const std::string& model,
                   Nanos took) {
  fmt::print("Mooncake is up after {:.1f} s: {} prefill, {} decode, {} node{}, engine {}\n", to_ms(took) / 1000,
             up.prefill, up.decode, up.nodes, up.nodes == 1 ? "" : "s", up.engine);
  fmt::print("  API    {}/v1\n", url);
  fmt::print("  try    curl {}/v1/chat/completions -d '{{\"model\": \"{}\", ", url, model);
  fmt::print("\"messages\": [{{\"role\": \"user\", \"content\": \"Hello!\"}}]}}'\n");
  fmt::print("  or     mooncake chat --url {}\n", url);
  fmt::print("  logs   {}/logs\n", dir.path());
  fmt::print("  end    Ctrl-C\n");
  std::fflush(stdout);
}

}  // namespace

int run_up(const Invocation& invocation) {
  auto up = up_config(invocation);
  if (!up.ok()) return fail(up.status());
  auto dir = RunDir::open(up->run_dir);
  if (!dir.ok()) return fail(dir.status());
  if (Status status = log_init({.process = "up", .file = dir->log_file("up")}); !status.ok()) return fail(status);

  const SteadyClock clock;
  const Instant started = clock.now();
  Supervisor supervisor(
      *up, invocation.program, *dir, std::max(1u, std::thread::hardware_concurrency()),
      [&](const std::string& url, const std::string& model) {
        print_summary(*up, *dir, url, model, clock.now() - started);
      },
      [](const std::string& line) { fmt::print(stderr, "mooncake: {}\n", line); });
  if (Status status = supervisor.run(); !status.ok()) return fail(status);
  return kExitOk;
}

}  // namespace mooncake::cli
