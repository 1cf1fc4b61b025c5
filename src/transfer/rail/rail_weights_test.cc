#include "transfer/rail/rail_weights.h"

#include <gmock/gmock.h>

namespace mooncake::transfer {
namespace {

using testing::ElementsAre;

constexpr MemoryLocation kNode0{.kind = MemoryLocation::Kind::kCpu, .number = 0};
constexpr MemoryLocation kGpu0{.kind = MemoryLocation::Kind::kCuda, .number = 0};
constexpr MemoryLocation kNode7{.kind = MemoryLocation::Kind::kCpu, .number = 7};

Distances by_file() {
  return {.topology = {.locations = {{"cpu:0", {"mlx5_0"}, {"mlx5_1"}}, {"cuda:0", {"mlx5_1"}, {}}}},
          .unlisted = kNoRail};
}

RailWeights over(Distances* distances, const std::vector<std::string>& devices) {
  RailWeights weights(distances, devices.size());
  for (std::size_t rail = 0; rail < devices.size(); ++rail) weights.set_device(rail, devices[rail]);
  return weights;
}

TEST(RailWeights, ASecondaryDeviceCostsMoreThanAPreferredOne) {
  Distances distances = by_file();
  RailWeights weights = over(&distances, {"mlx5_0", "mlx5_1"});
  EXPECT_THAT(weights.at(kNode0), ElementsAre(1, kSecondaryWeight));
  EXPECT_THAT(weights.at(kNode0), ElementsAre(1, kSecondaryWeight)) << "remembered";
}

TEST(RailWeights, ADeviceThatAFileDoesNotListCarriesNothingOfThatLocation) {
  Distances distances = by_file();
  RailWeights weights = over(&distances, {"mlx5_0", "mlx5_1", "bond0"});
  EXPECT_THAT(weights.at(kGpu0), ElementsAre(kNoRail, 1, kNoRail));
}

TEST(RailWeights, ADeviceThatDiscoveryLeftOutIsEquallyNear) {
  Distances distances{.topology = by_file().topology};
  RailWeights weights = over(&distances, {"mlx5_0", "mlx5_1", "bond0"});
  EXPECT_THAT(weights.at(kNode0), ElementsAre(1, kSecondaryWeight, 1));
}

TEST(RailWeights, WhereNoRailIsListedAllAreUsed) {
  Distances distances = by_file();
  RailWeights weights = over(&distances, {"eth0", "eth1"});
  EXPECT_FALSE(distances.told);
  EXPECT_THAT(weights.at(kNode0), ElementsAre(1, 1));
  EXPECT_TRUE(distances.told);
}

TEST(RailWeights, ARailThatCannotBeUsedIsNotUsedForWantOfAnother) {
  Distances distances = by_file();
  RailWeights weights = over(&distances, {"mlx5_0", "mlx5_1", "mlx5_2"});
  weights.set_base(1, kNoRail);
  EXPECT_THAT(weights.at(kGpu0), ElementsAre(1, kNoRail, 1)) << "the listed one is down";
  weights.set_base(1, 1);
  EXPECT_THAT(weights.at(kGpu0), ElementsAre(kNoRail, 1, kNoRail)) << "and up again";
}

TEST(RailWeights, DistanceMultipliesWhatARailCostsAnyway) {
  Distances distances = by_file();
  RailWeights weights = over(&distances, {"mlx5_0", "mlx5_1"});
  weights.set_base(0, 10);
  weights.set_base(1, 10);
  EXPECT_THAT(weights.at(kNode0), ElementsAre(10, 10 * kSecondaryWeight));
}

TEST(RailWeights, WhatIsNotKnownIsEquallyNear) {
  Distances distances = by_file();
  RailWeights weights = over(&distances, {"mlx5_0", "mlx5_1"});
  EXPECT_THAT(weights.at(kNode7), ElementsAre(1, 1)) << "a location without a row";
  EXPECT_THAT(weights.at(MemoryLocation{}), ElementsAre(1, 1)) << "memory on several nodes";
  EXPECT_THAT(RailWeights(&distances, 2).at(kNode0), ElementsAre(1, 1)) << "loopback";
  EXPECT_THAT(RailWeights(nullptr, 2).at(kNode0), ElementsAre(1, 1)) << "no topology";
}

TEST(RailWeights, ADeviceThatBecomesKnownCounts) {
  Distances distances = by_file();
  RailWeights weights(&distances, 2);
  EXPECT_THAT(weights.at(kNode0), ElementsAre(1, 1));
  weights.set_device(1, "mlx5_1");
  EXPECT_THAT(weights.at(kNode0), ElementsAre(1, kSecondaryWeight));
}

}  // namespace
}  // namespace mooncake::transfer
