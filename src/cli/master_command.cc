// `mooncake master`: directory and membership.
#include "cli/role_commands.h"
#include "cli/service_process.h"
#include "store/master/master_service.h"

namespace mooncake::cli {

int run_master(const Invocation& invocation) {
  return run_service(invocation, "master", [&](ServiceProcess& process) -> Status {
    MC_RETURN_IF_ERROR(process.start_admin(invocation.config.text("master.metrics")));
    MC_ASSIGN_OR_RETURN(const auto service,
                        store::MasterService::create({}, process.transfer(), process.loop(), process.metrics()));
    process.announce_ready();
    process.run();
    return {};
  });
}

}  // namespace mooncake::cli
