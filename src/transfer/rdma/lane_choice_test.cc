#include "transfer/rdma/lane_choice.h"

#include <gtest/gtest.h>

#include <vector>

namespace mooncake::transfer {
namespace {

constexpr RdmaAddress kUp{.up = true};
constexpr RdmaAddress kDown{.up = false};
constexpr RdmaAddress kInfiniband{.infiniband = true, .up = true};
using Ports = std::vector<RdmaAddress>;

TEST(LaneChoice, TakesPortsOfTheSamePlaceAndOthersWithEachAttempt) {
  const Ports two{kUp, kUp};
  EXPECT_EQ(choose_lane(two, two, 0), (LaneChoice{0, 0}));
  EXPECT_EQ(choose_lane(two, two, 1), (LaneChoice{1, 1}));
  EXPECT_EQ(choose_lane(two, two, 2), (LaneChoice{0, 0}));
}

TEST(LaneChoice, GoesAcrossOnlyWhereNoTwoOfTheSamePlaceAreUp) {
  EXPECT_EQ(choose_lane(Ports{kDown, kUp}, Ports{kUp, kUp}, 0), (LaneChoice{1, 1}));
  EXPECT_EQ(choose_lane(Ports{kDown, kUp}, Ports{kUp, kDown}, 0), (LaneChoice{1, 0}));
  EXPECT_EQ(choose_lane(Ports{kDown, kUp}, Ports{kUp, kDown}, 5), (LaneChoice{1, 0}));
}

TEST(LaneChoice, SideWithFewerPortsUsesThemInTurn) {
  const Ports one{kUp};
  const Ports three{kUp, kUp, kUp};
  EXPECT_EQ(choose_lane(one, three, 2), (LaneChoice{0, 2}));
  EXPECT_EQ(choose_lane(three, one, 2), (LaneChoice{2, 0}));
}

TEST(LaneChoice, IsNoneWhereNoTwoPortsFit) {
  EXPECT_EQ(choose_lane(Ports{kDown}, Ports{kUp}, 0), std::nullopt);
  EXPECT_EQ(choose_lane(Ports{kUp}, Ports{kInfiniband}, 0), std::nullopt);
  EXPECT_EQ(choose_lane(Ports{kInfiniband}, Ports{kUp, kInfiniband}, 0), (LaneChoice{0, 1}));
  EXPECT_EQ(choose_lane(Ports{}, Ports{kUp}, 0), std::nullopt);
  EXPECT_EQ(choose_lane(Ports{kUp}, Ports{}, 0), std::nullopt);
}

}  // namespace
}  // namespace mooncake::transfer
