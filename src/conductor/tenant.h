// Tenant: on whose behalf a request comes, as far as the order of work is concerned. Prompts of one tenant wait for
// each other; different tenants take turns (local/fair_line.h). Who may use which API key is the gateway's business.
//
// Value types, thread-safe.
#pragma once

#include <cstdint>
#include <string_view>

namespace mooncake::conductor {

/// A tenant's number, the same in every process that knows its name.
enum class TenantId : std::uint64_t {};

/// Everybody, where nobody tells tenants apart.
inline constexpr TenantId kNoTenant{0};
/// A decision looks at every tenant that waits on every instance: with 64 instances these are 16,384 sums, some 20 us.
inline constexpr std::size_t kTenantsMax = 256;
/// Beside a tenant with this weight one with 1 gets a hundredth, which is close to nothing.
inline constexpr std::uint32_t kTenantWeightMax = 100;

/// Whose turn it is, and how much a turn is worth.
struct Tenant {
  TenantId id = kNoTenant;
  std::uint32_t weight = 1;  ///< its share of the work beside others'; 1 to kTenantWeightMax
};

/// The id of a name: a hash of 64 bits, so that processes agree without talking of it. Among kTenantsMax names two are
/// equal once in 10^14 clusters; whoever reads names checks. kNoTenant for the empty name only.
/// Source: Fowler, Noll and Vo's FNV-1a, mixed once more.
TenantId tenant_id(std::string_view name);

}  // namespace mooncake::conductor
