// Two engines that are joined by two rails, rail0 and rail1, and a file that says which of the two interfaces is near
// the memory of this host. The slices are short and one at a time: then no bandwidth is measured
// (bandwidth_estimate.h), no queue outweighs a distance, and where a slice goes is the topology's choice alone.
#include <gmock/gmock.h>

#include <cstdio>
#include <fstream>

#include "transfer/test_network.h"
#include "transfer/topology/numa_nodes.h"

namespace mooncake::transfer {
namespace {

using Op = TransferRequest::Op;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
constexpr std::size_t kSliceBytes = 32u << 10;
constexpr int kTimes = 50;

/// A file that goes with this object.
class WrittenFile {
 public:
  explicit WrittenFile(const std::string& text)
      : path_(fmt::format("{}rails_test_{}.json", testing::TempDir(), ::getpid())) {
    std::ofstream(path_) << text;
  }
  ~WrittenFile() { std::remove(path_.c_str()); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Every node that memory of the host can be on has that row.
std::string on_all_nodes(const std::string& row) {
  std::string text;
  for (int node = 0; node < 16; ++node) text += fmt::format("{}\"cpu:{}\": {}", node == 0 ? "{" : ",\n", node, row);
  return text + "}";
}

class NearRails : public testing::Test {
 protected:
  void SetUp() override {
    std::string missing;
    net_ = TestNetwork::create(missing);
    if (!net_) GTEST_SKIP() << missing;
    if (!NumaNodes().of(here_, Instant{}).has_value()) GTEST_SKIP() << "the kernel does not tell where memory is";
  }
  /// Every location has that row in a's topology; empty: a has no file.
  void begin(const std::string& row) {
    const WrittenFile file(on_all_nodes(row));
    a_ = net_->node(TestNetwork::kA, {.node_name = "a", .topology = row.empty() ? "" : file.path()});
    b_ = net_->node(TestNetwork::kB, {.node_name = "b"});
    ASSERT_TRUE((*a_)->register_memory(here_, Access::kNone).ok());
    segment_ = *(*b_)->register_memory(there_, Access::kReadWrite);
  }
  /// Moves slices until that rail has connections, and carries them.
  bool settles_on(std::size_t rail) {
    return eventually([&] {
      const auto moved = move(1);
      return HasFailure() || moved[rail] == 2;
    });
  }
  /// Writes and reads so many times, one slice after the other. @return the slices that each rail has carried.
  std::vector<std::uint64_t> move(int times) {
    const std::vector<std::uint64_t> before = slices();
    for (int i = 0; i < times; ++i) {
      for (const Op op : {Op::kWrite, Op::kRead}) {
        const TransferRequest request{.op = op, .local = here_, .segment = segment_, .offset = 0};
        const Status moved = (*a_)->submit_and_wait(a_->peer(*b_), std::span(&request, 1), soon());
        EXPECT_TRUE(moved.ok()) << moved.to_string();
      }
    }
    const std::vector<std::uint64_t> after = slices();
    return {after[0] - before[0], after[1] - before[1]};
  }
  std::vector<std::uint64_t> slices() {
    std::vector<std::uint64_t> counts;
    for (const char* const rail : {"0", "1"}) {
      const TransferStats stats = total(*a_, "b", "tcp", rail);
      counts.push_back(stats.slices_written + stats.slices_read);
    }
    return counts;
  }

  std::vector<std::byte> here_ = noise(kSliceBytes, 1);
  std::vector<std::byte> there_ = noise(kSliceBytes, 2);
  std::unique_ptr<TestNetwork> net_;
  std::unique_ptr<TestNode> a_;
  std::unique_ptr<TestNode> b_;
  SegmentHandle segment_;
};

constexpr std::uint64_t kAll = 2 * kTimes;

TEST_F(NearRails, WithoutAPreferenceTheFirstRailIsAsGoodAsAnyOther) {
  begin("");
  ASSERT_TRUE(settles_on(0));
  EXPECT_THAT(move(kTimes), ElementsAre(kAll, 0));
}

TEST_F(NearRails, ThePreferredInterfaceCarriesTheBytesAndTheSecondaryTakesOverWhenItDies) {
  begin(R"([["rail1"], ["rail0"]])");
  ASSERT_TRUE(settles_on(1));
  EXPECT_THAT(move(kTimes), ElementsAre(0, kAll));
  net_->unplug(1);
  ASSERT_TRUE(settles_on(0));
  EXPECT_THAT(move(kTimes), ElementsAre(kAll, 0));
  net_->plug_in(1);
  ASSERT_TRUE(settles_on(1)) << "it is near again";
  EXPECT_THAT(move(kTimes), ElementsAre(0, kAll));
}

TEST_F(NearRails, AnInterfaceThatIsNotListedCarriesNothingAsLongAsAnotherCan) {
  begin(R"([["rail1"], []])");
  ASSERT_TRUE(settles_on(1));
  EXPECT_THAT(move(kTimes), ElementsAre(0, kAll));
  net_->unplug(1);
  ASSERT_TRUE(settles_on(0)) << "a peer that can be reached is";
}

TEST_F(NearRails, WhereNoInterfaceIsListedAllAreUsed) {
  begin(R"([["eth7"], []])");
  ASSERT_TRUE(settles_on(0));
  EXPECT_THAT(move(kTimes), ElementsAre(kAll, 0));
}

TEST(TopologyFile, ThatIsNoneIsRefusedWithWhatIsWrongInIt) {
  const WrittenFile file("{\"cpu:0\": [[\"eth0\"]]}");
  const auto engine = TransferEngine::create({.topology = file.path()});
  ASSERT_FALSE(engine.ok());
  EXPECT_EQ(engine.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(engine.status().message(), AllOf(HasSubstr(file.path()), HasSubstr("cpu:0: there are 1 classes")));
}

TEST(TopologyFile, ThatIsNotThereIsRefused) {
  const auto engine = TransferEngine::create({.topology = "/nowhere/topology.json"});
  ASSERT_FALSE(engine.ok());
  EXPECT_EQ(engine.status().code(), Code::kNotFound);
  EXPECT_THAT(engine.status().message(), HasSubstr("/nowhere/topology.json"));
}

}  // namespace
}  // namespace mooncake::transfer
