// `mooncake node`: a store node with a pool of memory.
#include "cli/role_commands.h"
#include "cli/service_process.h"
#include "store/node/node_service.h"

namespace mooncake::cli {

int run_node(const Invocation& invocation) {
  const Config& config = invocation.config;
  return run_member(invocation, "node", [&](ServiceProcess& process) -> Status {
    MC_RETURN_IF_ERROR(process.start_admin(config.text("node.metrics")));
    store::NodeConfig node;
    node.name = config.text("node.name");
    node.master = config.text("node.master");
    node.pool_bytes = static_cast<std::size_t>(config.integer("node.pool_bytes"));
    node.eviction = config.text("node.eviction");
    MC_ASSIGN_OR_RETURN(const auto service,
                        store::NodeService::create(node, process.transfer(), process.loop(), process.metrics(),
                                                   [&process] { process.announce_ready(); }));
    process.run();
    return {};
  });
}

}  // namespace mooncake::cli
