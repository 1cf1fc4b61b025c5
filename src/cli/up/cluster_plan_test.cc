#include "cli/up/cluster_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace mooncake::cli {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsSupersetOf;
using ::testing::Not;

UpConfig small() {
  UpConfig config;
  config.http = "127.0.0.1:8080";
  config.engine = "simulated";
  config.placement = "cost-min";
  config.admission = "none";
  config.t_d_s = 10;
  config.log_level = "info";
  config.pool_bytes = 1024;
  config.eviction = "sieve";
  return config;
}

std::vector<std::string> names(const std::vector<ProcessPlan>& plan) {
  std::vector<std::string> all;
  for (const ProcessPlan& process : plan) all.push_back(process.name);
  return all;
}

/// The value after `flag`, or "" if the flag is not there.
std::string value_of(const std::vector<std::string>& arguments, std::string_view flag) {
  const auto at = std::find(arguments.begin(), arguments.end(), flag);
  return at == arguments.end() ? "" : *std::next(at);
}

TEST(ClusterPlan, MasterComesFirstAndNamesCountFromZero) {
  EXPECT_THAT(names(plan_cluster(small())),
              ElementsAre("master", "node-0", "prefill-0", "prefill-1", "decode-0", "gateway"));
}

TEST(ClusterPlan, WorkersAreSpreadOverTheNodes) {
  UpConfig config = small();
  config.nodes = 3;
  config.prefill = 2;
  config.decode = 2;
  std::vector<std::string> attached;
  for (const ProcessPlan& process : plan_cluster(config)) {
    if (!process.attached_node.empty()) attached.push_back(process.name + " " + process.attached_node);
  }
  EXPECT_THAT(attached, ElementsAre("prefill-0 node-0", "prefill-1 node-1", "decode-0 node-2", "decode-1 node-0"));
}

TEST(ClusterPlan, EnginesShareTheCoresAndEachHasAtLeastOneThread) {
  EXPECT_EQ(threads_per_engine(2, 3), 1u);
  EXPECT_EQ(threads_per_engine(16, 3), 5u);
  EXPECT_EQ(threads_per_engine(16, 0), 16u);
}

TEST(ClusterPlan, RestartedMasterTakesItsOldEndpoint) {
  const auto arguments =
      process_arguments(small(), {"master", "master", ""}, {.listen = "127.0.0.1:7000", .log_file = "m.log"});
  EXPECT_EQ(arguments.front(), "master");
  EXPECT_EQ(value_of(arguments, "--listen"), "127.0.0.1:7000");
  EXPECT_THAT(arguments, Not(Contains("--master")));
}

TEST(ClusterPlan, GatewayKeepsThePortThatItsClientsKnow) {
  const ProcessPlan gateway{"gateway", "gateway", ""};
  EXPECT_EQ(value_of(process_arguments(small(), gateway, {.master = "m"}), "--http"), "127.0.0.1:8080");
  EXPECT_EQ(value_of(process_arguments(small(), gateway, {.master = "m", .listen = "127.0.0.1:9"}), "--http"),
            "127.0.0.1:9");
}

TEST(ClusterPlan, FirstGatewayWaitsForTheWorkersAndARestartedOneForNobody) {
  const ProcessPlan gateway{"gateway", "gateway", ""};
  EXPECT_EQ(value_of(process_arguments(small(), gateway, {.master = "m", .ready_workers = 3}), "--ready-workers"), "3");
  EXPECT_EQ(value_of(process_arguments(small(), gateway, {.master = "m"}), "--ready-workers"), "0");
}

TEST(ClusterPlan, GatewayAloneIsToldTheProfileIfThereIsOne) {
  const ProcessPlan gateway{"gateway", "gateway", ""};
  UpConfig config = small();
  EXPECT_THAT(process_arguments(config, gateway, {.master = "m"}), Not(Contains("--profile")));
  config.profile = "mine.json";
  EXPECT_EQ(value_of(process_arguments(config, gateway, {.master = "m"}), "--profile"), "mine.json");
  EXPECT_THAT(process_arguments(config, {"prefill", "prefill-0", "node-0"}, {.master = "m"}),
              Not(Contains("--profile")));
}

TEST(ClusterPlan, NodesAloneAreToldThePoolAndWhoGoes) {
  const auto arguments = process_arguments(small(), {"node", "node-0", ""}, {.master = "m:1"});
  EXPECT_EQ(value_of(arguments, "--pool-bytes"), "1024");
  EXPECT_EQ(value_of(arguments, "--eviction"), "sieve");
  EXPECT_THAT(process_arguments(small(), {"prefill", "prefill-0", "node-0"}, {.master = "m:1"}),
              Not(Contains("--eviction")));
}

TEST(ClusterPlan, GatewayAloneIsToldTheFileOfTenants) {
  UpConfig config = small();
  config.tenants = "tenants.toml";
  EXPECT_EQ(value_of(process_arguments(config, {"gateway", "gateway", ""}, {.master = "m"}), "--tenants"),
            "tenants.toml");
  EXPECT_THAT(process_arguments(config, {"prefill", "prefill-0", "node-0"}, {.master = "m"}),
              Not(Contains("--tenants")));
}

TEST(ClusterPlan, WorkerIsToldItsRoleNodeAndThreads) {
  const auto arguments = process_arguments(small(), {"decode", "decode-1", "node-2"}, {.master = "m:1", .cores = 12});
  EXPECT_THAT(arguments, IsSupersetOf({"worker", "--role", "decode", "--node", "node-2", "--threads", "4", "--name",
                                       "decode-1", "--master", "m:1"}));
  EXPECT_THAT(arguments, Not(Contains("--model"))) << "the simulated engine has no file";
}

}  // namespace
}  // namespace mooncake::cli
