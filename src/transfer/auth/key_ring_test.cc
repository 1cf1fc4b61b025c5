#include "transfer/auth/key_ring.h"

#include <gtest/gtest.h>

#include "transfer/auth/secret_file.h"
#include "transfer/auth/session.h"
#include "transfer/auth/test_secrets.h"

namespace mooncake::transfer {
namespace {

TEST(KeyRing, SharesOneKeyWithEachTenantAndNoneWithStrangers) {
  const KeyRing cluster(kSecret, "");
  const KeyRing blue(tenant_key(kSecret, "blue"), "blue");
  EXPECT_EQ(*cluster.key_for("", true), kSecret);
  EXPECT_EQ(*cluster.key_for("blue", false), *blue.key_for("", true));
  EXPECT_EQ(*blue.key_for("blue", true), *blue.key_for("blue", false));
  EXPECT_NE(*cluster.key_for("blue", false), *cluster.key_for("red", false));
  EXPECT_EQ(blue.key_for("red", false).status().code(), Code::kPermissionDenied);
  EXPECT_EQ(cluster.key_for("blue", true).status().code(), Code::kPermissionDenied);
}

TEST(KeyRing, TenantKeyIsTheHmacOfItsName) {
  // printf "mooncake tenant blue" | openssl dgst -sha256 -mac HMAC -macopt key:...
  EXPECT_EQ(tenant_key("0123456789abcdef0123456789abcdef", "blue"),
            "bcfdc1eef1bfbf509950b7fb4fb0169103f42d2811d23a23a95511d3dd58cf43");
}

TEST(KeyRing, LoadsAFileWithoutTheWhiteSpaceAtItsEnd) {
  const SecretDir dir;
  const std::string key(32, 'k');
  EXPECT_EQ(*KeyRing::load(dir.write("secret", key + "\r\n \n"), "")->key_for("", true), key);
}

TEST(KeyRing, RefusesFilesThatAreShortMissingOrOpenToOthersWithoutShowingThem) {
  const SecretDir dir;
  const auto refusal = [&](const std::string& file) { return KeyRing::load(file, "").status(); };
  EXPECT_EQ(refusal("").code(), Code::kInvalidArgument);
  EXPECT_EQ(refusal(dir.path("none")).code(), Code::kNotFound);
  EXPECT_EQ(refusal(dir.write("short", std::string(31, 'k') + "\n")).code(), Code::kInvalidArgument);
  EXPECT_EQ(refusal(dir.write("long", std::string(kSecretFileBytesMax + 1, 'k'))).code(), Code::kInvalidArgument);
  EXPECT_EQ(refusal("/").code(), Code::kInvalidArgument);
  for (const mode_t mode : {0604, 0602, 0620}) {
    const Status status = refusal(dir.write("open", std::string(32, 'k'), mode));
    EXPECT_EQ(status.code(), Code::kPermissionDenied) << mode;
    EXPECT_NE(status.message().find("chmod 600"), std::string::npos) << status.message();
    EXPECT_EQ(status.message().find("kkk"), std::string::npos) << status.message();
  }
}

TEST(Session, SidesKeysAndConnectionsAllDiffer) {
  const Session one = derive_session(as_bytes(kSecret), "hello a", "hello b");
  const Session same = derive_session(as_bytes(kSecret), "hello a", "hello b");
  const Session turned = derive_session(as_bytes(kSecret), "hello b", "hello a");
  const Session shifted = derive_session(as_bytes(kSecret), "hello ah", "ello b");
  const Session other_key = derive_session(as_bytes("x"), "hello a", "hello b");
  EXPECT_EQ(one.dialer.proof, same.dialer.proof);
  EXPECT_EQ(one.accepter.key, same.accepter.key);
  EXPECT_NE(one.dialer.proof, one.accepter.proof);
  EXPECT_NE(one.dialer.key, one.accepter.key);
  for (const Session& other : {turned, shifted, other_key}) {
    EXPECT_NE(one.dialer.proof, other.dialer.proof);
    EXPECT_NE(one.dialer.proof, other.accepter.proof);
    EXPECT_NE(one.dialer.key, other.dialer.key);
  }
}

TEST(FrameMac, DependsOnTheKeyTheNumberAndEveryByte) {
  FrameKey key{};
  FrameMac mac(key);
  const auto of = [&](std::uint64_t number, std::string_view head, std::string_view payload) {
    return mac.compute(number, as_bytes(head), as_bytes(payload));
  };
  EXPECT_EQ(of(1, "head", "payload"), of(1, "head", "payload"));
  EXPECT_NE(of(1, "head", "payload"), of(2, "head", "payload"));
  EXPECT_NE(of(1, "head", "payload"), of(1, "heaD", "payload"));
  EXPECT_NE(of(1, "head", "payload"), of(1, "head", "payloaD"));
  EXPECT_NE(of(1, "head", ""), of(1, "head", "p"));
  key.back() = std::byte{1};
  EXPECT_NE(FrameMac(key).compute(1, as_bytes("head"), {}), of(1, "head", ""));
}

}  // namespace
}  // namespace mooncake::transfer
