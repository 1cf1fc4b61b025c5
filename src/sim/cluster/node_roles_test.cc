#include "sim/cluster/node_roles.h"

#include <gtest/gtest.h>

#include "sim/cluster/cluster_parts.h"
#include "sim/cluster/testing.h"

namespace mooncake::sim {
namespace {

using conductor::InstanceId;
using conductor::Role;

/// Two nodes for prefill and one for decode, that may change: instances 0 to 2 for prefill, 3 to 5 for decode.
class NodeRolesTest : public ::testing::Test {
 protected:
  static ClusterConfig elastic() {
    ClusterConfig config = testing::plain_config();
    config.prefill = 2;
    config.decode = 1;
    config.elastic = true;
    return config;
  }
  /// The instances that a request could be placed on.
  std::vector<std::uint32_t> candidates() {
    std::vector<std::uint32_t> ids;
    const auto decision = conductor_->on_request({.number = conductor::RequestNumber{1}, .prompt_tokens = 10}, {});
    for (const auto& candidate : decision.candidates) ids.push_back(static_cast<std::uint32_t>(candidate.instance));
    conductor_->on_phase(conductor::RequestNumber{1}, conductor::Phase::kAbort, {});
    return ids;
  }
  using Ids = std::vector<std::uint32_t>;

  ClusterConfig config_ = elastic();
  std::unique_ptr<conductor::Conductor> conductor_ = make_conductor(config_);
  NodeRoles roles_{config_, *conductor_};
};

TEST_F(NodeRolesTest, ANodeThatFailsComesBackWithItsRole) {
  EXPECT_EQ(candidates(), (Ids{0, 1, 5}));
  roles_.fail(0, {});
  EXPECT_EQ(candidates(), (Ids{1, 5}));
  EXPECT_TRUE(roles_.complete());
  roles_.fail(2, {});
  EXPECT_EQ(candidates(), (Ids{1}));
  EXPECT_FALSE(roles_.complete()) << "nobody decodes";
  roles_.repair(2, {});
  roles_.repair(0, {});
  EXPECT_EQ(candidates(), (Ids{0, 1, 5}));
  EXPECT_TRUE(roles_.complete());
  EXPECT_EQ(roles_.changes(), 0u);
}

TEST_F(NodeRolesTest, ANodeThatFailsWhileItDrainsComesBackWithTheRoleItWasAskedToTake) {
  roles_.given(InstanceId{1});
  roles_.change({.instance = InstanceId{1}, .role = Role::kDecode}, {});
  EXPECT_EQ(candidates(), (Ids{0, 5})) << "it drains";
  roles_.fail(1, {});
  roles_.done(InstanceId{1}, {});
  EXPECT_TRUE(roles_.idle());
  EXPECT_EQ(candidates(), (Ids{0, 5})) << "it is down";
  EXPECT_EQ(roles_.changes(), 1u);
  EXPECT_EQ(roles_.prefill_nodes(), 1u);
  roles_.repair(1, {});
  EXPECT_EQ(candidates(), (Ids{0, 4, 5}));
  roles_.fail(1, {});
  EXPECT_EQ(candidates(), (Ids{0, 5})) << "it fails as what it is now";
}

TEST_F(NodeRolesTest, ADrainingNodeThatTakesTheMissingRoleMakesTheClusterComplete) {
  roles_.given(InstanceId{1});
  roles_.change({.instance = InstanceId{1}, .role = Role::kDecode}, {});
  roles_.fail(2, {});
  EXPECT_FALSE(roles_.complete());
  roles_.done(InstanceId{1}, {});
  EXPECT_TRUE(roles_.complete());
  roles_.fail(0, {});
  EXPECT_FALSE(roles_.complete());
}

}  // namespace
}  // namespace mooncake::sim
