#include "cli/up/cluster_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/scratch_dir.h"

namespace mooncake::cli {
namespace {

TEST(ClusterFile, UrlThatIsWrittenIsRead) {
  const ScratchDir scratch;
  const std::string file = scratch.path() + "/cluster.json";
  std::ofstream(file) << cluster_json("http://127.0.0.1:8080", {{"node", "node-0", 12, "127.0.0.1:9", "http://m"}});
  auto url = read_cluster_url(file);
  ASSERT_TRUE(url.ok()) << url.status().to_string();
  EXPECT_EQ(*url, "http://127.0.0.1:8080");
  std::ifstream in(file);
  const auto json = nlohmann::json::parse(in);
  EXPECT_EQ(json["processes"][0]["name"], "node-0");
  EXPECT_EQ(json["processes"][0]["pid"], 12);
}

TEST(ClusterFile, AbsentAndForeignFilesAreToldApart) {
  const ScratchDir scratch;
  EXPECT_EQ(read_cluster_url(scratch.path() + "/absent").status().code(), Code::kNotFound);
  std::ofstream(scratch.path() + "/foreign") << "[1, 2";
  EXPECT_EQ(read_cluster_url(scratch.path() + "/foreign").status().code(), Code::kCorrupt);
}

TEST(ReadyLine, SurvivesItsOwnFormat) {
  auto ready = parse_ready_line(ready_line({"decode", "127.0.0.1:1", "http://127.0.0.1:2/metrics", "smollm2"}));
  ASSERT_TRUE(ready.ok());
  EXPECT_EQ(ready->role, "decode");
  EXPECT_EQ(ready->endpoint, "127.0.0.1:1");
  EXPECT_EQ(ready->metrics, "http://127.0.0.1:2/metrics");
  EXPECT_EQ(ready->model, "smollm2");
}

TEST(ReadyLine, ErrorArrivesAsTheProcessSaidIt) {
  auto ready = parse_ready_line(ready_error_line("port 80 is in use\nby \"someone\""));
  EXPECT_EQ(ready.status().code(), Code::kUnavailable);
  EXPECT_EQ(ready.status().message(), "port 80 is in use\nby \"someone\"");
}

TEST(ReadyLine, AnythingElseIsRefused) {
  for (const char* line : {"", "ready", "{}", "[]", "{\"endpoint\": 1}", "{\"endpoint\": \"\"}"}) {
    EXPECT_EQ(parse_ready_line(line).status().code(), Code::kCorrupt) << line;
  }
}

}  // namespace
}  // namespace mooncake::cli
