#include "serve/gateway/cluster_actions.h"

#include <gtest/gtest.h>

#include "proto/serve.pb.h"
#include "serve/gateway/fake_transfer.h"
#include "serve/methods.h"
#include "serve/worker/manual_executor.h"

namespace mooncake::serve {
namespace {

/// Wants the same change at every tick.
class Restless final : public conductor::Conductor {
 public:
  conductor::Decision on_request(const conductor::RequestView&, Instant) override { return {}; }
  void on_phase(conductor::RequestNumber, conductor::Phase, Instant) override {}
  std::optional<conductor::Refusal> before_decode(conductor::RequestNumber, Instant) override { return {}; }
  void on_prefill_actual(conductor::InstanceId, const conductor::PrefillActual&) override {}
  void on_tbt_actual(conductor::RequestNumber, Nanos, Instant) override {}
  void on_cache(std::span<const conductor::CacheEvent>, Instant) override {}
  void on_stats(const conductor::InstanceStats&, Instant) override {}
  void on_instance(const conductor::InstanceChange& change, Instant) override { changes.push_back(change.kind); }
  void on_tick(Instant, std::vector<conductor::Action>& out) override {
    ++ticks;
    out.push_back({.instance = conductor::InstanceId{0}, .role = conductor::Role::kDecode});
  }
  [[nodiscard]] double pool_load(conductor::Role, Instant) const override { return 0; }

  int ticks = 0;
  std::vector<conductor::InstanceChange::Kind> changes;
};

class ClusterActionsTest : public testing::Test {
 protected:
  static store::Member member(const std::string& role, const std::string& name, const std::string& model = "m") {
    return {.role = role, .name = name, .endpoint = "127.0.0.1:10", .epoch = 1, .attached_node = {}, .model = model};
  }
  void list(const std::vector<store::Member>& members) {
    table_.on_members(members);
    actions_.on_members(members);
    loop_.run();
    while (transfer_.count(kMethodStats) > 0) {
      pb::StatsReply reply;
      reply.set_model("m");
      transfer_.answer(transfer_.take(kMethodStats), reply.SerializeAsString());
      loop_.run();
    }
  }
  void tick() { loop_.advance(conductor::kTickPeriod); }

  ManualExecutor loop_;
  FakeTransfer transfer_{loop_};
  Restless conductor_;
  InstanceTable table_{"m",
                       Seconds(600),
                       transfer_,
                       {.changed = [](const conductor::InstanceChange&) {},
                        .stats = [](const conductor::InstanceStats&) {},
                        .lost = [](const Instance&) {}}};
  bool in_use_ = false;
  ClusterActions actions_{
      member("gateway", "gateway-1"),
      {.conductor = conductor_, .instances = table_, .engine = transfer_, .in_use = [this](conductor::InstanceId) {
         return in_use_;
       }}};
};

TEST_F(ClusterActionsTest, TheFirstGatewayOfAModelLeads) {
  using Members = std::vector<store::Member>;
  EXPECT_FALSE(actions_.leads()) << "nobody has told yet who else there is";
  list(Members{});
  EXPECT_FALSE(actions_.leads()) << "the master does not know us";
  list({member("gateway", "gateway-2"), member("gateway", "gateway-1"), member("node", "a")});
  EXPECT_TRUE(actions_.leads());
  list({member("gateway", "gateway-0"), member("gateway", "gateway-1")});
  EXPECT_FALSE(actions_.leads());
  list({member("gateway", "gateway-0", "another"), member("gateway", "gateway-1")});
  EXPECT_TRUE(actions_.leads()) << "workers of another model are another cluster";
}

TEST_F(ClusterActionsTest, OnlyTheLeaderAsksWorkers) {
  list({member("gateway", "gateway-0"), member("gateway", "gateway-1"), member("prefill", "prefill-0")});
  tick();
  EXPECT_EQ(conductor_.ticks, 0);
  list({member("gateway", "gateway-1"), member("prefill", "prefill-0")});
  tick();
  EXPECT_EQ(conductor_.ticks, 1);
  pb::ChangeRoleRequest request;
  ASSERT_TRUE(request.ParseFromString(transfer_.take(kMethodChangeRole).payload));
  EXPECT_EQ(request.role(), "decode");
}

TEST_F(ClusterActionsTest, AWorkerThatIsNotUpIsNotAsked) {
  list({member("gateway", "gateway-1")});
  tick();
  EXPECT_EQ(conductor_.ticks, 1);
  EXPECT_EQ(transfer_.count(kMethodChangeRole), 0u);
}

TEST_F(ClusterActionsTest, AWorkerGetsNothingNewAndIsAskedOnceNothingIsPlacedOnIt) {
  in_use_ = true;
  list({member("gateway", "gateway-1"), member("prefill", "prefill-0")});
  tick();
  EXPECT_EQ(conductor_.changes, std::vector{conductor::InstanceChange::Kind::kDraining});
  EXPECT_EQ(transfer_.count(kMethodChangeRole), 0u);
  list({member("gateway", "gateway-0"), member("gateway", "gateway-1"), member("prefill", "prefill-0")});
  ASSERT_FALSE(actions_.leads());
  in_use_ = false;
  tick();
  EXPECT_EQ(transfer_.count(kMethodChangeRole), 1u) << "who has begun it ends it";
  tick();
  EXPECT_EQ(transfer_.count(kMethodChangeRole), 1u);
}

TEST_F(ClusterActionsTest, AWorkerThatWasStartedAnewIsNotAskedForWhatItsPredecessorWas) {
  in_use_ = true;
  list({member("gateway", "gateway-1"), member("prefill", "prefill-0")});
  tick();
  store::Member successor = member("prefill", "prefill-0");
  successor.epoch = 2;
  list({member("gateway", "gateway-0"), member("gateway", "gateway-1"), successor});
  in_use_ = false;
  tick();
  EXPECT_EQ(transfer_.count(kMethodChangeRole), 0u);
}

TEST_F(ClusterActionsTest, TheAnswerIsFollowedByAQuestionHowItIs) {
  list({member("gateway", "gateway-1"), member("prefill", "prefill-0")});
  tick();
  ASSERT_EQ(transfer_.count(kMethodStats), 0u);
  transfer_.answer(transfer_.take(kMethodChangeRole), std::string());
  loop_.run();
  EXPECT_EQ(transfer_.count(kMethodStats), 1u);
}

}  // namespace
}  // namespace mooncake::serve
