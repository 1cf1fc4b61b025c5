#include "transfer/rdma/rdma_rails.h"

#include <gtest/gtest.h>

#include <set>

namespace mooncake::transfer {
namespace {

constexpr std::size_t kBytes = 1u << 20;
using Verdict = RdmaRails::Verdict;
using Ends = std::pair<std::size_t, std::size_t>;

std::vector<RdmaAddress> up(std::size_t count) { return std::vector<RdmaAddress>(count, RdmaAddress{.up = true}); }

class Rails : public testing::Test {
 protected:
  void lay(std::size_t local, std::size_t remote) {
    rails_.set_local(up(local));
    EXPECT_TRUE(rails_.set_remote(up(remote)).ok());
  }
  /// The rail that the next slice takes; {99, 99} if none can.
  Ends next(const RailSet& tried = {}) {
    const Result<RailId> rail = rails_.start(kBytes, at_, tried, now_);
    if (!rail.ok()) return {99, 99};
    last_ = *rail;
    return {rails_[*rail].local, rails_[*rail].remote};
  }

  Instant now_{};
  RailId last_{};
  MemoryLocation at_{};
  RdmaRails rails_;
};

constexpr Ends kNone{99, 99};

TEST_F(Rails, NothingIsKnownBeforeThePeerHasNamedItsPorts) {
  rails_.set_local(up(2));
  EXPECT_FALSE(rails_.known());
  EXPECT_FALSE(rails_.any_up());
  EXPECT_EQ(next(), kNone);
}

TEST_F(Rails, PortsOfTheSamePlaceCarryEverythingAsLongAsTheyWork) {
  lay(2, 2);
  std::multiset<Ends> taken;
  for (int slice = 0; slice < 40; ++slice) taken.insert(next());
  EXPECT_EQ(taken.count({0, 0}), 20u);
  EXPECT_EQ(taken.count({1, 1}), 20u);
}

TEST_F(Rails, RailAcrossIsTakenWhenNoStraightOneIsLeft) {
  lay(2, 2);
  RailSet tried;
  for (int i = 0; i < 2; ++i) {
    next(tried);
    tried.set(static_cast<std::size_t>(last_));
  }
  const Ends across = next(tried);
  EXPECT_NE(across.first, across.second);
}

TEST_F(Rails, SidesWithDifferentNumbersOfPortsUseAllOfThem) {
  lay(1, 4);
  std::set<Ends> taken;
  for (int slice = 0; slice < 8; ++slice) taken.insert(next());
  EXPECT_EQ(taken.size(), 4u);
}

TEST_F(Rails, PortThatIsDownAtEitherSideCarriesNothing) {
  lay(2, 2);
  std::vector<RdmaAddress> ports = up(2);
  ports[1].up = false;
  rails_.set_local(ports);
  for (int slice = 0; slice < 4; ++slice) EXPECT_EQ(next(), Ends(0, 0));
  ports[0].up = false;
  EXPECT_TRUE(rails_.set_remote(ports).ok());
  EXPECT_FALSE(rails_.any_up());
  EXPECT_EQ(next(), kNone);
  rails_.set_local(up(2));
  EXPECT_TRUE(rails_.set_remote(up(2)).ok());
  EXPECT_TRUE(rails_.any_up());
  EXPECT_EQ(next(), Ends(1, 1));
}

TEST_F(Rails, InfinibandAndEthernetDoNotMeet) {
  std::vector<RdmaAddress> ports = up(2);
  ports[0].infiniband = true;
  rails_.set_local(ports);
  EXPECT_TRUE(rails_.set_remote(up(1)).ok());
  EXPECT_EQ(next(), Ends(1, 0));
}

class NearRdmaRails : public Rails {
 protected:
  NearRdmaRails() {
    rails_ = RdmaRails(&distances_, {"mlx5_0", "mlx5_1"});
    at_ = {.kind = MemoryLocation::Kind::kCpu, .number = 0};
    lay(2, 2);
  }

  Distances distances_{.topology = {.locations = {{"cpu:0", {"mlx5_1"}, {"mlx5_0"}}, {"cpu:1", {"mlx5_0"}, {}}}},
                       .unlisted = kNoRail};
};

TEST_F(NearRdmaRails, NearPortGetsThreeSlicesForOneOfTheFarOne) {
  std::multiset<Ends> taken;
  for (int slice = 0; slice < 40; ++slice) taken.insert(next());
  EXPECT_EQ(taken.count({1, 1}), 30u);
  EXPECT_EQ(taken.count({0, 0}), 10u);
}

TEST_F(NearRdmaRails, StraightFarRailComesBeforeANearOneAcross) {
  std::vector<RdmaAddress> ports = up(2);
  ports[1].up = false;
  EXPECT_TRUE(rails_.set_remote(ports).ok());
  EXPECT_EQ(next(), Ends(0, 0));
}

TEST_F(NearRdmaRails, PortThatIsNotListedIsUsedOnlyWhenNoListedOneIsUp) {
  at_.number = 1;
  for (int slice = 0; slice < 8; ++slice) EXPECT_EQ(next(), Ends(0, 0));
  std::vector<RdmaAddress> ports = up(2);
  ports[0].up = false;
  rails_.set_local(ports);
  EXPECT_EQ(next(), Ends(1, 1));
}

TEST_F(Rails, FailedRailCoolsDownAndReturns) {
  lay(2, 2);
  EXPECT_EQ(next(), Ends(0, 0));
  rails_.leave(last_, kBytes, Verdict::kFailed, now_);
  for (int slice = 0; slice < 4; ++slice) EXPECT_EQ(next(), Ends(1, 1));
  now_ += kCooldownMin;
  EXPECT_EQ(next(), Ends(0, 0));
}

TEST_F(Rails, NumberOfPortsMayNotChange) {
  lay(2, 2);
  EXPECT_EQ(rails_.set_remote(up(3)).code(), Code::kCorrupt);
}

TEST_F(Rails, LargestServersHaveMoreRailsThanArePlannedAndKeepTheStraightOnes) {
  lay(kRdmaPortsMax, kRdmaPortsMax);
  EXPECT_EQ(rails_.all().size(), kRailsMax);
  std::set<Ends> taken;
  for (std::size_t slice = 0; slice < 2 * kRdmaPortsMax; ++slice) taken.insert(next());
  EXPECT_EQ(taken.size(), kRdmaPortsMax);
  for (const auto& [local, remote] : taken) EXPECT_EQ(local, remote);
}

}  // namespace
}  // namespace mooncake::transfer
