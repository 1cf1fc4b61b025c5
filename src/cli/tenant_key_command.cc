// `mooncake tenant-key`: the key of one tenant, from the cluster's secret; to be put into a file for its clients.
#include <fmt/core.h>

#include "cli/tool_commands.h"
#include "transfer/auth/key_ring.h"

namespace mooncake::cli {

int run_tenant_key(const Invocation& invocation) {
  const std::string tenant = invocation.config.text("tenant_key.auth_tenant");
  if (tenant.empty()) {
    return fail(Status(Code::kInvalidArgument, "--auth-tenant: whose key? The secret itself is the cluster's"));
  }
  // Whoever holds the cluster's secret shares with each tenant the tenant's key.
  const auto ring = transfer::KeyRing::load(invocation.config.text("tenant_key.auth_secret_file"), "");
  if (!ring.ok()) return fail(ring.status());
  const auto key = ring->key_for(tenant, false);
  if (!key.ok()) return fail(key.status());
  fmt::print("{}\n", *key);
  return kExitOk;
}

}  // namespace mooncake::cli
