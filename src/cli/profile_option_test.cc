#include "cli/profile_option.h"

#include <gtest/gtest.h>

#include <fstream>

#include "cli/scratch_dir.h"
#include "kvcache/cost_profile_json.h"

namespace mooncake::cli {
namespace {

TEST(ProfileOption, NameIsABuiltinProfile) {
  EXPECT_EQ(resolve_profile("llama3-70b@8xA800")->name, "llama3-70b@8xA800");
  const auto unknown = resolve_profile("cray-1");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.status().code(), Code::kNotFound);
  EXPECT_NE(unknown.status().message().find("\"laptop\""), std::string::npos) << unknown.status().message();
  EXPECT_NE(unknown.status().message().find(".json"), std::string::npos) << unknown.status().message();
}

TEST(ProfileOption, NothingMeansTheProfileOfTheEngine) {
  EXPECT_EQ(resolve_profile("", "simulated")->name, "laptop");
  EXPECT_EQ(resolve_profile("", "llama")->name, "smollm2-cpu");
  EXPECT_EQ(resolve_profile("laptop", "llama")->name, "laptop");
}

TEST(ProfileOption, FileIsRead) {
  const ScratchDir dir;
  const std::string file = dir.path() + "/mine.json";
  kvcache::CostProfile profile = *kvcache::builtin_profile("laptop");
  profile.name = "mine";
  profile.step_fixed_ms = 3.25;
  std::ofstream(file) << kvcache::cost_profile_json(profile);
  const auto read = resolve_profile(file);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->name, "mine");
  EXPECT_EQ(read->step_fixed_ms, 3.25);
}

TEST(ProfileOption, WrongFilesAreNamed) {
  const ScratchDir dir;
  const auto objection = [&](const std::string& file, Code code) {
    const auto read = resolve_profile(dir.path() + file);
    EXPECT_FALSE(read.ok()) << file;
    EXPECT_EQ(read.status().code(), code) << file;
    EXPECT_NE(read.status().message().find(file), std::string::npos) << read.status().message();
    return read.status().message();
  };
  objection("/none.json", Code::kNotFound);
  std::ofstream(dir.path() + "/empty.json").flush();
  objection("/empty.json", Code::kInvalidArgument);
  std::ofstream(dir.path() + "/part.json") << R"({"name": "part", "prefill_fixed_ms": 1})";
  EXPECT_NE(objection("/part.json", Code::kInvalidArgument).find("prefill_ms_per_token"), std::string::npos);
  std::ofstream(dir.path() + "/long.json") << std::string(kProfileBytesMax + 1, ' ');
  objection("/long.json", Code::kInvalidArgument);
  std::filesystem::create_directory(dir.path() + "/folder.json");
  objection("/folder.json", Code::kNotFound);
}

}  // namespace
}  // namespace mooncake::cli
