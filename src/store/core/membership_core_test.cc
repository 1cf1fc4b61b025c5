#include "store/core/membership_core.h"

#include <gtest/gtest.h>

namespace mooncake::store {
namespace {

constexpr Millis kTimeout{3'000};
constexpr Millis kTick{500};
constexpr ConnectionId kConnection{1};
constexpr ConnectionId kOther{2};

Member member(const std::string& name, std::uint64_t epoch = 1) {
  return {.role = "node", .name = name, .endpoint = "127.0.0.1:1", .epoch = epoch, .attached_node = {}, .model = {}};
}

struct Cluster {
  SessionId join(const Member& who, ConnectionId connection) { return core.join(who, connection, now, ended); }
  /// Lets time pass in steps of a tick; `beating` sends heartbeats.
  void pass(Millis time, std::vector<SessionId> beating = {}) {
    for (Millis passed{0}; passed < time; passed += kTick) {
      now += kTick;
      for (const SessionId session : beating) EXPECT_TRUE(core.heard(session, kConnection, now));
      for (MembershipCore::Ended& end : core.tick(now)) ended.push_back(std::move(end));
    }
  }
  Instant now{Seconds{100}};
  MembershipCore core{kTimeout, 42};
  std::vector<MembershipCore::Ended> ended;
};

TEST(MembershipCore, SilenceEndsAMemberAfterTheTimeout) {
  Cluster cluster;
  const SessionId beating = cluster.join(member("a"), kConnection);
  cluster.join(member("b"), kOther);
  cluster.pass(kTimeout - kTick, {beating});
  EXPECT_EQ(cluster.core.size(), 2u);
  EXPECT_EQ(cluster.core.suspected(cluster.now), 1u);
  cluster.pass(kTick, {beating});
  ASSERT_EQ(cluster.ended.size(), 1u);
  EXPECT_EQ(cluster.ended[0].member.name, "b");
  EXPECT_EQ(cluster.core.members(), std::vector<Member>{member("a")});
}

TEST(MembershipCore, ABrokenConnectionEndsItsMembersAtOnce) {
  Cluster cluster;
  cluster.join(member("a"), kConnection);
  cluster.join(member("b"), kOther);
  cluster.join(member("c"), kOther);
  EXPECT_EQ(cluster.core.connection_lost(kOther).size(), 2u);
  EXPECT_EQ(cluster.core.members(), std::vector<Member>{member("a")});
}

TEST(MembershipCore, ReconnectingWithTheSameEpochIsNotHurtByTheOldConnectionsEnd) {
  Cluster cluster;
  const SessionId old_session = cluster.join(member("a"), kConnection);
  const SessionId session = cluster.join(member("a"), kOther);
  ASSERT_EQ(cluster.ended.size(), 1u) << "the first session";
  EXPECT_EQ(cluster.ended[0].session, old_session);
  EXPECT_TRUE(cluster.core.connection_lost(kConnection).empty());
  EXPECT_TRUE(cluster.core.heard(session, kOther, cluster.now));
  EXPECT_FALSE(cluster.core.heard(old_session, kConnection, cluster.now));
  EXPECT_EQ(cluster.core.members(), std::vector<Member>{member("a")});
}

TEST(MembershipCore, ARestartedMemberReplacesItsOldEpoch) {
  Cluster cluster;
  cluster.join(member("a", 1), kConnection);
  cluster.join(member("a", 2), kOther);
  EXPECT_EQ(cluster.core.members(), std::vector<Member>{member("a", 2)});
}

TEST(MembershipCore, RefusesASessionOverAnotherConnection) {
  Cluster cluster;
  const SessionId session = cluster.join(member("a"), kConnection);
  EXPECT_FALSE(cluster.core.heard(session, kOther, cluster.now));
}

TEST(MembershipCore, AMasterThatWasStoppedExpiresNobody) {
  Cluster cluster;
  cluster.join(member("a"), kConnection);
  cluster.pass(kTick);
  cluster.now += Seconds{60};
  EXPECT_TRUE(cluster.core.tick(cluster.now).empty());
  cluster.pass(kTimeout - kTick);
  EXPECT_EQ(cluster.core.size(), 1u) << "its clock started again";
  cluster.pass(kTick);
  EXPECT_EQ(cluster.core.size(), 0u) << "and a dead member still ends";
}

TEST(MembershipCore, SessionsOfDifferentMastersDiffer) {
  MembershipCore first(kTimeout, 1);
  MembershipCore second(kTimeout, 2);
  std::vector<MembershipCore::Ended> ended;
  const SessionId session = first.join(member("a"), kConnection, Instant{}, ended);
  second.join(member("a"), kConnection, Instant{}, ended);
  EXPECT_FALSE(second.heard(session, kConnection, Instant{}));
}

TEST(MembershipCore, VersionGrowsWithEveryChangeOfTheList) {
  Cluster cluster;
  std::uint64_t version = cluster.core.version();
  const SessionId session = cluster.join(member("a"), kConnection);
  EXPECT_GT(cluster.core.version(), version);
  version = cluster.core.version();
  EXPECT_TRUE(cluster.core.heard(session, kConnection, cluster.now));
  EXPECT_EQ(cluster.core.version(), version);
  cluster.core.connection_lost(kConnection);
  EXPECT_GT(cluster.core.version(), version);
}

}  // namespace
}  // namespace mooncake::store
