#include "cli/options.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "cli/scratch_dir.h"

namespace mooncake::cli {
namespace {

TEST(Options, DefaultsOfTheWholeTableAreValid) {
  auto config = Config::load(option_table(), {});
  ASSERT_TRUE(config.ok()) << config.status().to_string();
  EXPECT_EQ(config->integer("up.prefill"), 2);
  EXPECT_EQ(config->text("gateway.admission"), "none");
}

TEST(Options, KeysAreUniqueAndSectionsAreTogether) {
  std::set<std::string_view> keys;
  std::set<std::string_view> sections;
  std::string_view current;
  for (const ConfigOption& option : option_table()) {
    EXPECT_TRUE(keys.insert(option.key).second) << option.key;
    EXPECT_TRUE(option.help.ends_with('.') || option.help.ends_with('"')) << option.key << ": help is a sentence";
    const std::string_view section = option.key.substr(0, option.key.find('.'));
    if (section != current) {
      EXPECT_TRUE(sections.insert(section).second) << section << " is in two places";
    }
    current = section;
  }
}

TEST(Options, SectionHasItsOwnRowsOnly) {
  ASSERT_FALSE(section_options("up").empty());
  for (const ConfigOption& option : section_options("up")) EXPECT_TRUE(option.key.starts_with("up."));
  EXPECT_TRUE(section_options("u").empty());
}

TEST(Options, EveryVariableWithOurPrefixCountsButTheToolsOwn) {
  const Environment ours = option_variables({{"MOONCAKE_UP_PREFILL", "3"},
                                             {"MOONCAKE_UP_PREFIL", "3"},
                                             {"MOONCAKE_UPP_PREFILL", "3"},
                                             {"MOONCAKE_CACHE_DIR", "/somewhere"},
                                             {"MOONCAKE_TRACES", "/elsewhere"},
                                             {"MOONCAKES", "12"},
                                             {"UP_PREFILL", "3"}});
  EXPECT_EQ(ours.size(), 3u);
  EXPECT_TRUE(ours.contains("MOONCAKE_UP_PREFILL"));
  EXPECT_TRUE(ours.contains("MOONCAKE_UP_PREFIL")) << "a misspelt key must reach the check";
  EXPECT_TRUE(ours.contains("MOONCAKE_UPP_PREFILL")) << "and so must a misspelt section";
}

TEST(Options, CacheDirFollowsTheVariables) {
  EXPECT_EQ(cache_dir({{"HOME", "/h"}}), "/h/.cache/mooncake");
  EXPECT_EQ(cache_dir({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}}), "/x/mooncake");
  EXPECT_EQ(cache_dir({{"XDG_CACHE_HOME", "/x"}, {"MOONCAKE_CACHE_DIR", "/m"}}), "/m");
}

TEST(Options, AbsentDefaultModelNamesTheCommandThatGetsIt) {
  const ScratchDir scratch;
  const Environment environment = {{"MOONCAKE_CACHE_DIR", scratch.path()}};
  auto absent = resolve_model("llama", "", environment);
  ASSERT_FALSE(absent.ok());
  EXPECT_NE(absent.status().message().find("make build"), std::string::npos);

  const std::string file = scratch.path() + "/models/smollm2-135m-instruct-q8_0.gguf";
  std::filesystem::create_directories(scratch.path() + "/models");
  std::ofstream(file) << "GGUF";
  EXPECT_EQ(resolve_model("llama", "", environment).value(), file);
  EXPECT_EQ(resolve_model("llama", "mine.gguf", environment).value(), "mine.gguf");
  EXPECT_EQ(resolve_model("simulated", "", environment).value(), "");
}

TEST(Options, CommittedPageIsTheTable) {
  std::ifstream in(std::string(MOONCAKE_SOURCE_DIR) + "/docs/configuration.md");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), configuration_page())
      << "write it anew: mooncake config docs > docs/configuration.md";
}

}  // namespace
}  // namespace mooncake::cli
