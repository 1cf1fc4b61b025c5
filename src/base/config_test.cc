#include "base/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace mooncake {
namespace {

using testing::HasSubstr;

const std::vector<ConfigOption> kTable = {
    {.key = "gateway.http", .default_value = "127.0.0.1:8080", .help = "Where clients connect.", .flag = "--http"},
    {.key = "gateway.slo_ttft_ms", .type = ConfigType::kNumber, .default_value = "2000", .help = "TTFT.", .min = 1},
    {.key = "gateway.placement",
     .default_value = "cost-min",
     .help = "Policy.",
     .flag = "--placement",
     .choices = {"cost-min", "random"}},
    {.key = "node.pool_mib",
     .type = ConfigType::kInteger,
     .default_value = "512",
     .help = "Pool.",
     .flag = "--pool-mib",
     .min = 1,
     .max = 1 << 20},
    {.key = "up.restart", .type = ConfigType::kBoolean, .default_value = "true", .help = "Restart."},
};

class ConfigFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "mooncake_config_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string path() const { return folder_ / "mooncake.toml"; }
  Result<Config> load_text(std::string_view text) {
    std::ofstream(path()) << text;
    return Config::load(kTable, {.file = path()});
  }

  std::filesystem::path folder_;
};

std::string error_of(const Result<Config>& config) { return config.ok() ? "no error" : config.status().message(); }

TEST(Config, DefaultsHoldWhenNobodySaysOtherwise) {
  const auto config = Config::load(kTable, {});
  ASSERT_TRUE(config.ok()) << error_of(config);
  EXPECT_EQ(config->text("gateway.http"), "127.0.0.1:8080");
  EXPECT_DOUBLE_EQ(config->number("gateway.slo_ttft_ms"), 2000);
  EXPECT_EQ(config->integer("node.pool_mib"), 512);
  EXPECT_TRUE(config->boolean("up.restart"));
  EXPECT_EQ(config->values().size(), kTable.size());
  EXPECT_EQ(config->at("up.restart").origin, "default");
}

TEST_F(ConfigFile, EachLayerCoversTheOneBelowAndValuesRememberTheirs) {
  std::ofstream(path()) << "[gateway]\nhttp = \"127.0.0.1:1\"\nslo_ttft_ms = 100\n\n[node]\npool_mib = 64\n";
  const auto config =
      Config::load(kTable, {.file = path(),
                            .environment = {{"MOONCAKE_GATEWAY_HTTP", "127.0.0.1:2"}, {"MOONCAKE_NODE_POOL_MIB", "65"}},
                            .flags = {{"gateway.http", "127.0.0.1:3"}}});
  ASSERT_TRUE(config.ok()) << error_of(config);
  EXPECT_EQ(config->text("gateway.http"), "127.0.0.1:3");
  EXPECT_EQ(config->at("gateway.http").origin, "--http");
  EXPECT_EQ(config->at("gateway.http").layer, ConfigLayer::kFlag);
  EXPECT_EQ(config->integer("node.pool_mib"), 65);
  EXPECT_EQ(config->at("node.pool_mib").origin, "MOONCAKE_NODE_POOL_MIB");
  EXPECT_DOUBLE_EQ(config->number("gateway.slo_ttft_ms"), 100);
  EXPECT_EQ(config->at("gateway.slo_ttft_ms").origin, path() + ":3");
  EXPECT_EQ(config->at("gateway.placement").layer, ConfigLayer::kDefault);
}

TEST_F(ConfigFile, UnknownKeyNamesFileLineAndTheLikelyMeaning) {
  EXPECT_EQ(error_of(load_text("[gateway]\n\nhtpp = \"x\"\n")),
            path() + ":3: unknown key gateway.htpp; did you mean gateway.http?");
  EXPECT_EQ(error_of(load_text("[gatway]\nhttp = \"x\"\n")),
            path() + ":1: unknown section gatway; did you mean gateway?");
  EXPECT_EQ(error_of(load_text("[gateway]\npool_mib = 3\n")),
            path() + ":2: unknown key gateway.pool_mib; did you mean node.pool_mib?");
  EXPECT_EQ(error_of(load_text("xylophone = 3\n")), path() + ":1: unknown key xylophone");
}

TEST_F(ConfigFile, WrongTypeAndRangeSayWhatIsAllowed) {
  EXPECT_EQ(error_of(load_text("[node]\npool_mib = 0\n")),
            path() + ":2: node.pool_mib: expected an integer from 1 to 1048576, got \"0\"");
  EXPECT_THAT(error_of(load_text("[node]\npool_mib = 1.5\n")), HasSubstr("expected an integer"));
  EXPECT_THAT(error_of(load_text("[node]\npool_mib = \"many\"\n")), HasSubstr("got TOML of type string"));
  EXPECT_THAT(error_of(load_text("[node]\npool_mib = [1]\n")), HasSubstr("got TOML of type array"));
  EXPECT_THAT(error_of(load_text("[gateway]\nslo_ttft_ms = nan\n")), HasSubstr("expected a number of at least 1"));
  EXPECT_THAT(error_of(load_text("[gateway]\nslo_ttft_ms = inf\n")), HasSubstr("expected a number of at least 1"));
  EXPECT_THAT(error_of(load_text("[gateway]\nhttp = 8080\n")),
              HasSubstr("expected a string, got TOML of type integer"));
  EXPECT_THAT(error_of(load_text("[gateway]\nplacement = \"best\"\n")),
              HasSubstr("expected one of cost-min, random, got \"best\""));
  EXPECT_THAT(error_of(load_text("[up]\nrestart = 1\n")), HasSubstr("expected true or false"));
  EXPECT_THAT(error_of(load_text("gateway = 3\n")), HasSubstr("unknown key gateway"));
}

TEST_F(ConfigFile, BrokenTomlNamesTheLine) {
  const auto config = load_text("[gateway]\nhttp = \n");
  EXPECT_EQ(config.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(error_of(config), HasSubstr(path() + ":2: not valid TOML"));
  EXPECT_FALSE(load_text("\xff\xfe").ok());
}

TEST_F(ConfigFile, MissingOrHugeFileIsRefused) {
  const auto missing = Config::load(kTable, {.file = path()});
  EXPECT_EQ(missing.status().code(), Code::kNotFound);
  EXPECT_THAT(error_of(missing), HasSubstr(path()));
  EXPECT_THAT(error_of(load_text(std::string(kConfigFileBytesMax + 1, '#'))), HasSubstr("is larger than"));
  const auto folder = Config::load(kTable, {.file = folder_});
  EXPECT_FALSE(folder.ok());
}

TEST(Config, UnknownVariableAndFlagAreErrorsWithASuggestion) {
  EXPECT_EQ(error_of(Config::load(kTable, {.environment = {{"MOONCAKE_NODE_POOL_MB", "1"}}})),
            "unknown environment variable MOONCAKE_NODE_POOL_MB; did you mean MOONCAKE_NODE_POOL_MIB?");
  EXPECT_EQ(error_of(Config::load(kTable, {.flags = {{"gateway.htt", "1"}}})),
            "unknown option gateway.htt; did you mean gateway.http?");
}

TEST(Config, ErrorsNameTheVariableOrFlag) {
  EXPECT_THAT(error_of(Config::load(kTable, {.environment = {{"MOONCAKE_UP_RESTART", "yes"}}})),
              HasSubstr("MOONCAKE_UP_RESTART: up.restart: expected true or false, got \"yes\""));
  EXPECT_THAT(error_of(Config::load(kTable, {.flags = {{"node.pool_mib", "1x"}}})),
              HasSubstr("--pool-mib: node.pool_mib: expected an integer"));
}

TEST(Config, ValuesPrintAsTheyAreWritten) {
  const auto config = Config::load(kTable, {});
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->at("gateway.http").to_string(), "127.0.0.1:8080");
  EXPECT_EQ(config->at("node.pool_mib").to_string(), "512");
  EXPECT_EQ(config->at("up.restart").to_string(), "true");
}

TEST(Config, NearestWordForgivesSlipsAndNothingMore) {
  const std::vector<std::string_view> words = {"prefill", "decode", "gateway"};
  EXPECT_EQ(nearest_word("prefil", words), "prefill");
  EXPECT_EQ(nearest_word("perfill", words), "prefill") << "swapped letters are one slip";
  EXPECT_EQ(nearest_word("master", words), "");
  EXPECT_EQ(nearest_word("", words), "");
}

TEST(Config, MarkdownListsEveryOptionUnderItsSection) {
  const std::string page = config_markdown(kTable);
  EXPECT_THAT(page, HasSubstr("## [gateway]\n"));
  EXPECT_THAT(page, HasSubstr("| `pool_mib` | `512` | an integer from 1 to 1048576 | `MOONCAKE_NODE_POOL_MIB` | "
                              "`--pool-mib` | Pool. |\n"));
  for (const ConfigOption& option : kTable) EXPECT_THAT(page, HasSubstr(config_environment_name(option.key)));
}

TEST(ConfigDeathTest, AskingForTheWrongTypeIsABugOfOurs) {
  const auto config = Config::load(kTable, {});
  ASSERT_TRUE(config.ok());
  EXPECT_DEATH(static_cast<void>(config->integer("gateway.http")), "check failed");
  EXPECT_DEATH(static_cast<void>(config->text("gateway.nothing")), "check failed");
}

}  // namespace
}  // namespace mooncake
