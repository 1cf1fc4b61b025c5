#include "transfer/topology/topology_json.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

namespace mooncake::transfer {
namespace {

using testing::HasSubstr;

/// What parse_topology() says against `json`.
std::string objection(std::string_view json) {
  const auto parsed = parse_topology(json);
  EXPECT_FALSE(parsed.ok()) << json;
  if (parsed.ok()) return {};
  EXPECT_EQ(parsed.status().code(), Code::kInvalidArgument);
  return parsed.status().message();
}

TEST(TopologyJson, ReadsWhatItWrites) {
  const Topology topology{.locations = {{"cpu:0", {"mlx5_0", "eth0"}, {"mlx5_1"}},
                                        {"cuda:15", {}, {"mlx5_1", "mlx5_0"}},
                                        {"file:nvme0n1", {}, {}}}};
  const std::string text = format_topology(topology);
  EXPECT_EQ(text,
            "{\n"
            "  \"cpu:0\": [[\"mlx5_0\", \"eth0\"], [\"mlx5_1\"]],\n"
            "  \"cuda:15\": [[], [\"mlx5_1\", \"mlx5_0\"]],\n"
            "  \"file:nvme0n1\": [[], []]\n"
            "}\n");
  const auto again = parse_topology(text);
  ASSERT_TRUE(again.ok()) << again.status().to_string();
  EXPECT_EQ(*again, topology);
  EXPECT_EQ(again->find("cuda:15")->secondary.front(), "mlx5_1");
  EXPECT_EQ(again->find("cuda:1"), nullptr);
}

TEST(TopologyJson, SaysWhereItIsNotJson) {
  EXPECT_THAT(objection(""), HasSubstr("line 1, column 1"));
  EXPECT_THAT(objection("{\n  \"cpu:0\": [[], []],,\n}"), HasSubstr("line 2, column 21"));
  EXPECT_THAT(objection("{\"cpu:0\": [[], []]} x"), HasSubstr("line 1, column 21"));
  EXPECT_THAT(objection("{\"cpu:0\": [[\"\xff\"], []]}"), HasSubstr("line 1, column 14"));
}

TEST(TopologyJson, SaysWhereAndWhatWasExpected) {
  EXPECT_THAT(objection("[]"), HasSubstr("at the start: an array where an object"));
  EXPECT_THAT(objection("{}"), HasSubstr("names no memory location"));
  EXPECT_THAT(objection(R"({"cpu:0": null})"), HasSubstr("cpu:0: null where two arrays"));
  EXPECT_THAT(objection(R"({"cpu:0": ["eth0"]})"), HasSubstr("cpu:0: a string where an array of names"));
  EXPECT_THAT(objection(R"({"cpu:0": [["eth0", 7], []]})"), HasSubstr("cpu:0, preferred 2: a number where a device's"));
  EXPECT_THAT(objection(R"({"cpu:0": [["eth0"], [["eth1"]]]})"), HasSubstr("cpu:0, secondary 1: an array where"));
  EXPECT_THAT(objection(R"({"cpu:0": [[]]})"), HasSubstr("cpu:0: there are 1 classes and not two"));
  EXPECT_THAT(objection(R"({"cpu:0": [[], [], []]})"), HasSubstr("cpu:0: there are more than two classes"));
  EXPECT_THAT(objection(R"({"cpu:0": [["eth0"], ["eth0"]]})"), HasSubstr("cpu:0, secondary 1: eth0 is there twice"));
  EXPECT_THAT(objection(R"({"cpu:0": [[], []], "cpu:0": [[], []]})"), HasSubstr("cpu:0 is there twice"));
  EXPECT_THAT(objection(R"({"gpu:0": [[], []]})"), HasSubstr("\"gpu:0\" is no memory location"));
}

TEST(TopologyJson, KeepsNamesAndCountsWithinTheirLimits) {
  EXPECT_THAT(objection(R"({"cpu:0": [["eth 0"], []]})"), HasSubstr("is no device's name"));
  EXPECT_THAT(objection(R"({"cpu:0": [["eth\n"], []]})"), HasSubstr("is no device's name"));
  const std::string longest(kDeviceNameBytesMax, 'x');
  EXPECT_TRUE(parse_topology(fmt::format(R"({{"cpu:0": [["{}"], []]}})", longest)).ok());
  EXPECT_THAT(objection(fmt::format(R"({{"cpu:0": [["{}x"], []]}})", longest)), HasSubstr("is no device's name"));

  Topology many{.locations = {{"cpu:0", {}, {}}}};
  for (std::size_t i = 0; i < kLocationDevicesMax; ++i) many.locations[0].preferred.push_back(fmt::format("eth{}", i));
  EXPECT_TRUE(parse_topology(format_topology(many)).ok());
  many.locations[0].secondary.emplace_back("one_more");
  EXPECT_THAT(objection(format_topology(many)), HasSubstr("more than 64 devices"));

  Topology high;
  for (std::size_t i = 0; i < kLocationsMax; ++i) high.locations.push_back({fmt::format("cpu:{}", i), {}, {}});
  EXPECT_TRUE(parse_topology(format_topology(high)).ok());
  high.locations.push_back({"cuda:0", {}, {}});
  EXPECT_THAT(objection(format_topology(high)), HasSubstr("more than 1024 locations"));

  EXPECT_THAT(objection(std::string(kTopologyBytesMax + 1, ' ')), HasSubstr("1048577 bytes"));
}

TEST(Topology, LocationsAreNumberedWithoutZerosInFront) {
  for (const std::string_view good : {"cpu:0", "cpu:10", "cuda:9999", "file:nvme0n1", "file:a:b"}) {
    EXPECT_TRUE(is_memory_location(good)) << good;
  }
  for (const std::string_view bad : {"", "cpu", "cpu:", "cpu:01", "cpu:-1", "cpu:10000", "cpu:0 ", "file:", "CPU:0"}) {
    EXPECT_FALSE(is_memory_location(bad)) << bad;
  }
}

}  // namespace
}  // namespace mooncake::transfer
