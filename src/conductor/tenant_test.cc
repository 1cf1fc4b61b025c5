#include "conductor/tenant.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace mooncake::conductor {
namespace {

TEST(Tenant, AnIdIsTheSameInEveryProcessAndVersion) {
  EXPECT_EQ(tenant_id(""), kNoTenant);
  EXPECT_EQ(static_cast<std::uint64_t>(tenant_id("search")), 7952123048043981825u) << "recorded; it is on the wire";
}

TEST(Tenant, NamesThatAreNearlyEqualHaveDifferentIds) {
  std::set<TenantId> ids = {kNoTenant};
  for (int i = 0; i < 10'000; ++i) ids.insert(tenant_id("team-" + std::to_string(i)));
  EXPECT_EQ(ids.size(), 10'001u);
}

}  // namespace
}  // namespace mooncake::conductor
