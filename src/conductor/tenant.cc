#include "conductor/tenant.h"

#include "base/rng.h"

namespace mooncake::conductor {

TenantId tenant_id(std::string_view name) {
  if (name.empty()) return kNoTenant;
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char byte : name) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  const std::uint64_t mixed = splitmix64(hash);
  return TenantId{mixed == 0 ? 1 : mixed};
}

}  // namespace mooncake::conductor
