// `mooncake gateway`: the OpenAI front door with the Conductor.
#include <fmt/core.h>

#include "cli/profile_option.h"
#include "cli/role_commands.h"
#include "cli/service_process.h"
#include "cli/tenants_file.h"
#include "serve/gateway/gateway_service.h"

namespace mooncake::cli {
namespace {

/// How often the two conditions below are looked at: no one waits longer than this for nothing.
constexpr Millis kLookEvery{5};
/// Nobody said how many workers there will be: a gateway without any is ready after this long. It answers, if only 503.
constexpr Seconds kWorkersWait{2};

Result<serve::GatewayConfig> gateway_config(const Invocation& invocation) {
  const Config& config = invocation.config;
  serve::GatewayConfig gateway;
  gateway.name = config.text("gateway.name");
  gateway.master = config.text("gateway.master");
  gateway.http.listen = config.text("gateway.http");
  gateway.model.kind = config.text("gateway.engine");
  MC_ASSIGN_OR_RETURN(gateway.model.model_path,
                      resolve_model(gateway.model.kind, config.text("gateway.model"), invocation.environment));
  MC_ASSIGN_OR_RETURN(gateway.conductor.placement, conductor::parse_placement(config.text("gateway.placement")));
  MC_ASSIGN_OR_RETURN(gateway.conductor.admission, conductor::parse_admission(config.text("gateway.admission")));
  MC_ASSIGN_OR_RETURN(gateway.tenants, read_tenants(config.text("gateway.tenants")));
  gateway.decision_log = config.text("gateway.decision_log");
  gateway.conductor.elastic = config.boolean("gateway.elastic");
  gateway.conductor.replicate = config.boolean("gateway.replicate");
  gateway.conductor.decode_time = from_ms(config.number("gateway.t_d_s") * 1000);
  gateway.conductor.slo = {.ttft = from_ms(config.number("gateway.ttft_slo_s") * 1000),
                           .tbt = from_ms(config.number("gateway.tbt_slo_ms"))};
  MC_ASSIGN_OR_RETURN(gateway.cost_profile, resolve_profile(config.text("gateway.profile"), gateway.model.kind));
  if (gateway.cost_profile.derived) gateway.conductor.shadow_prefills = conductor::kShadowPrefills;
  gateway.request_deadline = from_ms(config.number("gateway.request_timeout_s") * 1000);
  return gateway;
}

/// Says ready once there is somebody to serve with, so that the first request after it is not the one that waits.
void announce_with_workers(ServiceProcess& process, const serve::GatewayService& service, std::uint32_t workers,
                           Deadline latest) {
  const Instant now = process.loop().clock().now();
  if ((service.ready() && service.workers_up() >= workers) || now >= latest) {
    process.announce_ready({.endpoint = service.endpoint(),
                            .metrics = fmt::format("http://{}/metrics", service.endpoint()),
                            .model = service.model()});
  } else {
    process.loop().post_at(now + kLookEvery, [&process, &service, workers, latest] {
      announce_with_workers(process, service, workers, latest);
    });
  }
}

void await_idle(ServiceProcess& process, const serve::GatewayService& service, Deadline deadline, Task done) {
  const Instant now = process.loop().clock().now();
  if (service.requests_in_flight() == 0 || now >= deadline) return done();
  process.loop().post_at(now + kLookEvery, [&process, &service, deadline, done = std::move(done)]() mutable {
    await_idle(process, service, deadline, std::move(done));
  });
}

}  // namespace

int run_gateway(const Invocation& invocation) {
  return run_member(invocation, "gateway", [&](ServiceProcess& process) -> Status {
    MC_ASSIGN_OR_RETURN(serve::GatewayConfig config, gateway_config(invocation));
    std::unique_ptr<serve::GatewayService> service;
    const auto workers = static_cast<std::uint32_t>(invocation.config.integer("gateway.ready_workers"));
    config.on_joined = [&process, &service, workers] {
      const Instant latest = workers > 0 ? kNever : process.loop().clock().now() + kWorkersWait;
      announce_with_workers(process, *service, workers, latest);
    };
    MC_ASSIGN_OR_RETURN(service, serve::GatewayService::create(std::move(config), process.transfer(), process.loop(),
                                                               process.metrics()));
    process.run([&](Deadline deadline, Task done) {
      service->stop_accepting();
      await_idle(process, *service, deadline, std::move(done));
    });
    return {};
  });
}

}  // namespace mooncake::cli
