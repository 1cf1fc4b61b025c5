#include "serve/gateway/instance_table.h"

#include <gtest/gtest.h>

#include "proto/serve.pb.h"
#include "serve/gateway/fake_transfer.h"
#include "serve/methods.h"
#include "serve/worker/manual_executor.h"

namespace mooncake::serve {
namespace {

using conductor::Role;
using Kind = conductor::InstanceChange::Kind;

const store::Member kPrefill{.role = "prefill",
                             .name = "prefill-0",
                             .endpoint = "127.0.0.1:10",
                             .epoch = 1,
                             .attached_node = "node-0",
                             .model = "m"};
const store::Member kDecode{.role = "decode",
                            .name = "decode-0",
                            .endpoint = "127.0.0.1:20",
                            .epoch = 2,
                            .attached_node = "node-0",
                            .model = "m"};

class InstanceTableTest : public testing::Test {
 protected:
  InstanceTableTest() {
    transfer_.on_peer_lost([this](transfer::PeerHandle peer) { table_.on_peer_lost(peer); });
  }

  void answer_stats(bool draining = false, const std::string& model = "m") {
    pb::StatsReply reply;
    reply.set_model(model);
    reply.set_sequences_max(8);
    reply.set_kv_tokens_max(1000);
    reply.set_outstanding_ms(12.5);
    reply.set_draining(draining);
    transfer_.answer(transfer_.take(kMethodStats), reply.SerializeAsString());
    loop_.run();
  }
  void answer_all() {
    while (transfer_.count(kMethodStats) > 0) answer_stats();
  }
  void refuse_stats(Code code) {
    transfer_.answer(transfer_.take(kMethodStats), Status(code, ""));
    loop_.run();
  }
  void list(const std::vector<store::Member>& members) {
    table_.on_members(members);
    loop_.run();
  }
  [[nodiscard]] InstanceState state() const { return table_.find("prefill-0")->state; }

  ManualExecutor loop_;
  FakeTransfer transfer_{loop_};
  std::vector<conductor::InstanceChange> changes_;
  std::vector<std::string> lost_;
  InstanceTable table_{"m",
                       Millis(250),
                       transfer_,
                       {.changed = [this](const conductor::InstanceChange& change) { changes_.push_back(change); },
                        .stats = [](const conductor::InstanceStats&) {},
                        .lost = [this](const Instance& instance) { lost_.push_back(instance.member.name); }}};
};

TEST_F(InstanceTableTest, AMemberIsUpWhenItHasAnswered) {
  list({kPrefill});
  EXPECT_EQ(state(), InstanceState::kConnecting);
  EXPECT_TRUE(changes_.empty());
  answer_stats();
  EXPECT_EQ(state(), InstanceState::kUp);
  ASSERT_EQ(changes_.size(), 1u);
  EXPECT_EQ(changes_[0].kind, Kind::kUp);
  EXPECT_EQ(changes_[0].sequences_max, 8u);
  EXPECT_EQ(changes_[0].kv_tokens_max, 1000u);
  EXPECT_EQ(table_.node_name(changes_[0].attached_node), "node-0");
  EXPECT_EQ(table_.find("prefill-0")->stats.outstanding, Micros(12'500));
  EXPECT_EQ(table_.up_count(Role::kPrefill), 1u);
  EXPECT_EQ(table_.up_count(Role::kDecode), 0u);
}

TEST_F(InstanceTableTest, IsAskedAgainEveryPeriod) {
  list({kPrefill});
  answer_stats();
  EXPECT_EQ(transfer_.count(kMethodStats), 0u);
  loop_.advance(Millis(250));
  EXPECT_EQ(transfer_.count(kMethodStats), 1u);
}

TEST_F(InstanceTableTest, ABrokenConnectionIsDownAtOnceAndUpAgainWhenItAnswers) {
  list({kPrefill});
  answer_stats();
  transfer_.lose(kPrefill.endpoint);
  loop_.run();
  EXPECT_EQ(state(), InstanceState::kDown);
  EXPECT_EQ(lost_, std::vector<std::string>{"prefill-0"});
  EXPECT_EQ(changes_.back().kind, Kind::kDown);
  loop_.advance(Millis(250));
  answer_stats();
  EXPECT_EQ(state(), InstanceState::kUp);
  EXPECT_EQ(changes_.back().id, changes_.front().id);
}

TEST_F(InstanceTableTest, ALossThatIsToldAfterTheNextQuestionIsStillALoss) {
  list({kPrefill});
  answer_stats();
  transfer_.lose(kPrefill.endpoint);
  table_.check(table_.find("prefill-0")->id);  // connects anew before the loss is told
  loop_.run();
  EXPECT_EQ(lost_.size(), 1u);
  EXPECT_EQ(state(), InstanceState::kDown);
  answer_stats();
  EXPECT_EQ(state(), InstanceState::kUp);
}

TEST_F(InstanceTableTest, OneSlowAnswerIsForgivenThreeAreNot) {
  list({kPrefill});
  answer_stats();
  for (std::uint32_t miss = 1; miss < kStatsMissesMax; ++miss) {
    loop_.advance(Millis(250));
    refuse_stats(Code::kDeadlineExceeded);
    EXPECT_EQ(state(), InstanceState::kUp) << miss;
  }
  loop_.advance(Millis(250));
  refuse_stats(Code::kDeadlineExceeded);
  EXPECT_EQ(state(), InstanceState::kDown);
}

TEST_F(InstanceTableTest, ARestartedWorkerKeepsItsIdAndLosesItsState) {
  list({kPrefill});
  answer_stats();
  store::Member again = kPrefill;
  again.endpoint = "127.0.0.1:11";
  again.epoch = 9;
  list({again});
  EXPECT_EQ(state(), InstanceState::kConnecting);
  EXPECT_EQ(lost_.size(), 1u);
  const auto asked = transfer_.take(kMethodStats);
  EXPECT_EQ(asked.peer, again.endpoint);
  EXPECT_EQ(table_.list().size(), 1u);
  EXPECT_EQ(table_.find("prefill-0")->id, changes_[0].id);
}

TEST_F(InstanceTableTest, AWorkerThatANewMasterDoesNotListYetStaysUpWhileItAnswers) {
  list({kPrefill, kDecode});
  answer_all();
  list({kDecode});
  EXPECT_EQ(state(), InstanceState::kUp);
  loop_.advance(Millis(250));
  answer_all();
  EXPECT_EQ(state(), InstanceState::kUp);
  transfer_.lose(kPrefill.endpoint);
  loop_.run();
  EXPECT_EQ(state(), InstanceState::kDown);
  EXPECT_EQ(table_.list().size(), 1u) << "nobody knows it any more";
  list({kPrefill, kDecode});
  answer_all();
  EXPECT_EQ(state(), InstanceState::kUp) << "and the same process is taken up again";
}

TEST_F(InstanceTableTest, DrainingIsToldToTheConductorAndLosesNothing) {
  list({kPrefill});
  answer_stats();
  loop_.advance(Millis(250));
  answer_stats(true);
  EXPECT_EQ(changes_.back().kind, Kind::kDraining);
  EXPECT_EQ(table_.up_count(Role::kPrefill), 0u);
  EXPECT_TRUE(lost_.empty());
  transfer_.lose(kPrefill.endpoint);
  loop_.run();
  EXPECT_EQ(lost_.size(), 1u);
}

TEST_F(InstanceTableTest, WorkersOfAnotherModelAreLeftAlone) {
  store::Member foreign = kPrefill;
  foreign.model = "other";
  list({foreign});
  loop_.advance(Seconds(1));
  EXPECT_EQ(state(), InstanceState::kForeign);
  EXPECT_EQ(transfer_.count(kMethodStats), 0u);
  EXPECT_TRUE(changes_.empty());
}

TEST_F(InstanceTableTest, NodesAndGatewaysAreNoInstances) {
  list({{.role = "node", .name = "node-0", .endpoint = "127.0.0.1:30", .attached_node = {}, .model = {}}});
  EXPECT_TRUE(table_.list().empty());
}

TEST_F(InstanceTableTest, ACheckAsksNowInsteadOfAtTheNextPeriod) {
  list({kPrefill});
  answer_stats();
  table_.check(table_.find("prefill-0")->id);
  loop_.run();
  refuse_stats(Code::kUnavailable);
  EXPECT_EQ(state(), InstanceState::kDown);
}

}  // namespace
}  // namespace mooncake::serve
