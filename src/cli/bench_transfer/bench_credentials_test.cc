#include "cli/bench_transfer/bench_credentials.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>

#include "transfer/auth/credentials.h"

namespace mooncake::cli {
namespace {

TEST(BenchCredentials, BothEndsAcceptTheFilesAndNothingIsLeftOfThem) {
  auto made = BenchCredentials::create();
  ASSERT_TRUE(made.ok()) << made.status().to_string();
  std::optional<BenchCredentials> held(std::move(*made));
  const transfer::AuthConfig mac = held->mac();
  const transfer::AuthConfig tls = held->tls();
  EXPECT_TRUE(transfer::Credentials::load(mac, "anybody").ok()) << "the mode of the file is that of a secret";
  for (const char* name : {"transfer-serve", "transfer-client"}) {
    const auto loaded = transfer::Credentials::load(tls, name);
    EXPECT_TRUE(loaded.ok()) << loaded.status().to_string();
  }
  EXPECT_EQ(transfer::Credentials::load(tls, "node-0").status().code(), Code::kPermissionDenied);
  held.reset();
  for (const std::string& file : {mac.secret_file, tls.certificate_file, tls.key_file, tls.authority_file}) {
    EXPECT_NE(::access(file.c_str(), F_OK), 0) << file;
  }
}

TEST(BenchCredentials, NoTwoRunsShareASecretOrAnAuthority) {
  const auto one = BenchCredentials::create();
  const auto other = BenchCredentials::create();
  ASSERT_TRUE(one.ok() && other.ok());
  const auto key = [](const BenchCredentials& made) {
    return *transfer::Credentials::load(made.mac(), "anybody")->keys->key_for("", true);
  };
  EXPECT_NE(key(*one), key(*other));
  transfer::AuthConfig mixed = one->tls();
  mixed.key_file = other->tls().key_file;
  EXPECT_EQ(transfer::Credentials::load(mixed, "transfer-serve").status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace mooncake::cli
