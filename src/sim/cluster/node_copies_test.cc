#include "sim/cluster/node_copies.h"

#include <gtest/gtest.h>

#include "sim/cluster/cluster_parts.h"
#include "sim/cluster/testing.h"

namespace mooncake::sim {
namespace {

using conductor::NodeId;

TEST(NodeCopies, WhatIsOnItsWayFromOrToAFailedNodeIsLost) {
  ClusterConfig config = testing::plain_config();
  config.prefill = 3;
  auto nodes = make_prefill_nodes(config);
  ASSERT_TRUE(nodes.ok());
  (*nodes)[0].use(std::vector<TraceBlock>{7});
  (*nodes)[1].use(std::vector<TraceBlock>{7});
  NodeCopies copies(config, *nodes);
  const auto send = [&](std::uint32_t from, std::uint32_t to) {
    return copies
        .send(
            {.kind = conductor::Action::Kind::kReplicate, .from = NodeId{from}, .to = NodeId{to}, .keys = {key_of(7)}},
            {})
        .value()
        .copy;
  };
  const std::uint32_t from_failed = send(0, 2);
  const std::uint32_t to_failed = send(1, 0);
  const std::uint32_t beside = send(1, 2);
  copies.lose(0);
  EXPECT_TRUE(copies.arrived(from_failed).empty());
  EXPECT_FALSE((*nodes)[2].has(7));
  EXPECT_TRUE(copies.arrived(to_failed).empty());
  EXPECT_EQ(copies.arrived(beside).size(), 1u);
  EXPECT_TRUE((*nodes)[2].has(7));
}

}  // namespace
}  // namespace mooncake::sim
