#include "cli/tenants_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "cli/scratch_dir.h"

namespace mooncake::cli {
namespace {

TEST(TenantsFile, NoFileMeansEverybody) {
  const auto tenants = read_tenants("");
  ASSERT_TRUE(tenants.ok());
  EXPECT_FALSE((*tenants)->told_apart());
}

TEST(TenantsFile, KeysTenantsAndWeightsAreRead) {
  const ScratchDir dir;
  const std::string path = dir.path() + "/tenants.toml";
  std::ofstream(path) << "[keys]\n"
                         "sk-5f1c93a0 = \"search\"\n"
                         "\"sk+77 aa\" = \"search\"\n"
                         "sk-0b92c1d4 = \"batch\"\n"
                         "[weights]\n"
                         "search = 3\n";
  const auto tenants = read_tenants(path);
  ASSERT_TRUE(tenants.ok()) << tenants.status().to_string();
  EXPECT_EQ((*tenants)->find("sk-5f1c93a0")->name, "search");
  EXPECT_EQ((*tenants)->find("sk+77 aa")->turn.weight, 3u);
  EXPECT_EQ((*tenants)->find("sk-0b92c1d4")->name, "batch");
  EXPECT_EQ((*tenants)->find("sk-0b92c1d4")->turn.weight, 1u);
  EXPECT_EQ((*tenants)->find("sk-0b92c1d4")->cache_salt, "batch");
}

TEST(TenantsFile, TheCacheIsSharedIfItSaysSo) {
  const auto tenants = parse_tenants("share_cache = true\n[keys]\nsk-5f1c93a0 = \"search\"\n", "t");
  ASSERT_TRUE(tenants.ok()) << tenants.status().to_string();
  EXPECT_EQ((*tenants)->find("sk-5f1c93a0")->cache_salt, "");
}

TEST(TenantsFile, MessagesNameTheLineAndNeverAKey) {
  for (const auto& [text, expected] : std::vector<std::pair<std::string, std::string>>{
           {"", "t: expected at least one key"},
           {"[keys]\nsk-secret-1 = \n", "t:2: not valid TOML"},
           {"[keys]\nsk-secret-1 = \"a\"\nsk-secret-1 = \"b\"\n", "t:3: not valid TOML, or a name that is there twice"},
           {"[keys]\nsk-secret-1 = \"a\"\nsk-secret-2 = 7\n", "t:3: expected KEY = \"TENANT\""},
           {"[keys]\nsk-secret.1 = \"a\"\n", "t:2: expected KEY = \"TENANT\""},
           {"[keys]\nsecret1 = \"a\"\n", "t: key number 1 has 7 bytes"},
           {"[keys]\nsearch = \"sk-secret-1\"\n", "t: key number 1 has 6 bytes"},
           {"[keys]\nsk-secret-1 = \"a\"\n[weights]\nsk-secret-1 = 3\n", "t:4: a weight for a tenant"},
           {"shared_cache = true\n", "t:1: expected share_cache"},
           {"share_cache = \"yes\"\n", "t:1: expected share_cache"},
           {"[keys]\nsk-secret-1 = \"a\"\n[weights]\nb = 2\n", "t:4: a weight for a tenant who has no key"},
           {"[keys]\nsk-secret-1 = \"a\"\n[weights]\na = 0\n", "t:4: expected a weight from 1 to 100"},
           {"[keys]\nsk-secret-1 = \"a\"\n[weights]\na = \"2\"\n", "t:4: expected a weight from 1 to 100"}}) {
    const Status status = parse_tenants(text, "t").status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << text;
    EXPECT_NE(status.to_string().find(expected), std::string::npos) << status.to_string();
    EXPECT_EQ(status.to_string().find("secret"), std::string::npos) << status.to_string();
  }
  const Status missing = read_tenants("/no/such/tenants.toml").status();
  EXPECT_EQ(missing.code(), Code::kNotFound);
  EXPECT_NE(missing.message().find("/no/such/tenants.toml"), std::string::npos);
}

}  // namespace
}  // namespace mooncake::cli
