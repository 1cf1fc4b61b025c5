#include "cli/command_line.h"

#include <gtest/gtest.h>

#include "cli/command.h"

namespace mooncake::cli {
namespace {

struct Outcome {
  int exit = -1;
  std::string errors;
};

Outcome run(std::vector<std::string> words, const Environment& environment = {}) {
  words.insert(words.begin(), "mooncake");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int exit = run_command_line(words, environment);
  testing::internal::GetCapturedStdout();
  return {exit, testing::internal::GetCapturedStderr()};
}

TEST(CommandLine, AMemberWithoutAMasterEndsAndSaysWhatAnEndpointLooksLike) {
  for (const char* role : {"node", "worker", "gateway"}) {
    for (const std::vector<std::string>& master :
         {std::vector<std::string>{}, {"--master", "foo"}, {"--master", "foo:7000"}, {"--master", "127.0.0.1:0"}}) {
      std::vector<std::string> words{role};
      words.insert(words.end(), master.begin(), master.end());
      const Outcome outcome = run(words);
      EXPECT_EQ(outcome.exit, kExitUsage) << role;
      EXPECT_NE(outcome.errors.find("--master"), std::string::npos) << outcome.errors;
      EXPECT_NE(outcome.errors.find("127.0.0.1:7000"), std::string::npos) << outcome.errors;
    }
  }
}

TEST(CommandLine, AVariableWithAMisspeltSectionIsRefusedWithASuggestion) {
  const Outcome misspelt = run({"config", "show"}, {{"MOONCAKE_UPP_PREFILL", "3"}});
  EXPECT_EQ(misspelt.exit, kExitUsage);
  EXPECT_NE(misspelt.errors.find("did you mean MOONCAKE_UP_PREFILL?"), std::string::npos) << misspelt.errors;
  EXPECT_EQ(run({"config", "show"}, {{"MOONCAKE_CACHE_DIR", "/somewhere"}}).exit, kExitOk);
}

}  // namespace
}  // namespace mooncake::cli
