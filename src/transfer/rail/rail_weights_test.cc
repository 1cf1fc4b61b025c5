#include "transfer/rail/rail_weights.h"

#include <gmock/gmock.h>

namespace mooncake::transfer {
namespace {

using testing::ElementsAre;

const Topology kHere{.locations = {{"cpu:0", {"mlx5_0"}, {"mlx5_1"}}, {"cuda:0", {"mlx5_1"}, {}}}};
const Topology kThere{.locations = {{"cpu:0", {"mlx5_2"}, {"mlx5_3"}}}};
const std::vector<Rail> kRails = {
    {"mlx5_0", "mlx5_2"}, {"mlx5_0", "mlx5_3"}, {"mlx5_1", "mlx5_2"}, {"mlx5_1", "mlx5_3"}};

TEST(RailWeights, MultiplyWhatTheDevicesOfBothEndsCost) {
  EXPECT_THAT(rail_weights(kRails, {kHere, "cpu:0"}, {kThere, "cpu:0"}),
              ElementsAre(1, kSecondaryWeight, kSecondaryWeight, kSecondaryWeight * kSecondaryWeight));
}

TEST(RailWeights, ADeviceThatIsNotListedCarriesNothing) {
  EXPECT_THAT(rail_weights(kRails, {kHere, "cuda:0"}, {kThere, "cpu:0"}),
              ElementsAre(kNoRail, kNoRail, 1, kSecondaryWeight));
}

TEST(RailWeights, AnUnknownLocationIsEquallyNearToEverything) {
  EXPECT_THAT(rail_weights(kRails, {kHere, "cpu:7"}, {kThere, ""}), ElementsAre(1, 1, 1, 1));
}

}  // namespace
}  // namespace mooncake::transfer
