#include "serve/gateway/tenants.h"

#include <gtest/gtest.h>

#include "serve/messages.h"

namespace mooncake::serve {
namespace {

TEST(BearerKey, IsWhatFollowsTheSchemeInAnyCase) {
  EXPECT_EQ(bearer_key("Bearer abc"), "abc");
  EXPECT_EQ(bearer_key("bEARER   a b "), "a b");
  for (const char* none : {"", "Bearer", "Bearer ", "Bearer   ", "Basic abc", "abc", "Bearerabc"}) {
    EXPECT_EQ(bearer_key(none), "") << none;
  }
}

TEST(Tenants, EverybodyNeedsNoKeyAndTakesNoTurns) {
  const auto tenants = Tenants::everybody();
  EXPECT_FALSE(tenants->told_apart());
  for (const char* key : {"", "whatever"}) {
    ASSERT_NE(tenants->find(key), nullptr);
    EXPECT_EQ(tenants->find(key)->turn.id, conductor::kNoTenant);
    EXPECT_EQ(tenants->find(key)->cache_salt, "");
  }
}

TEST(Tenants, AKeyIsItsTenants) {
  const auto tenants = Tenants::create(
      {{.name = "a", .weight = 3}, {.name = "b"}},
      {{.key = "key-of-a-1", .tenant = 0}, {.key = "key-of-b", .tenant = 1}, {.key = "key-of-a-2"}}, false);
  ASSERT_TRUE(tenants.ok()) << tenants.status().to_string();
  EXPECT_TRUE((*tenants)->told_apart());
  const ServedTenant* a = (*tenants)->find("key-of-a-1");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a, (*tenants)->find("key-of-a-2"));
  EXPECT_EQ(a->name, "a");
  EXPECT_EQ(a->turn.weight, 3u);
  EXPECT_EQ(a->turn.id, conductor::tenant_id("a"));
  EXPECT_EQ(a->cache_salt, "a");
  EXPECT_EQ((*tenants)->find("key-of-b")->name, "b");
  for (const char* unknown : {"", "key-of-a-", "key-of-a-11", "a", "Key-of-b"}) {
    EXPECT_EQ((*tenants)->find(unknown), nullptr) << unknown;
  }
}

TEST(Tenants, WhoSharesTheCacheHasNoSalt) {
  const auto tenants = Tenants::create({{.name = "a"}}, {{.key = "key-of-a"}}, true);
  EXPECT_EQ((*tenants)->find("key-of-a")->cache_salt, "");
  EXPECT_NE((*tenants)->find("key-of-a")->turn.id, conductor::kNoTenant) << "it takes turns all the same";
}

TEST(Tenants, WhatIsWrongIsNamedAndNoKeyIs) {
  using Named = Tenants::Named;
  using Key = Tenants::Key;
  const std::string name(kTenantNameBytesMax + 1, 'n');
  const std::string secret = "the-secret";
  const std::vector<Named> many(conductor::kTenantsMax + 1, Named{.name = "a"});
  const std::vector<Key> keys(kApiKeysMax + 1, Key{.key = secret});
  for (const auto& [tenants, known, expected] :
       std::vector<std::tuple<std::vector<Named>, std::vector<Key>, std::string>>{
           {{}, {}, "at least one key"},
           {{{.name = "a"}}, {}, "at least one key"},
           {many, {{.key = secret}}, "at most 256"},
           {{{.name = "a"}}, keys, "at most 1024"},
           {{{.name = ""}}, {{.key = secret}}, "1 to 64 bytes"},
           {{{.name = name}}, {{.key = secret}}, "1 to 64 bytes"},
           {{{.name = "a", .weight = 0}}, {{.key = secret}}, "weight of 0"},
           {{{.name = "a", .weight = 101}}, {{.key = secret}}, "weight of 101"},
           {{{.name = "a"}, {.name = "a"}}, {{.key = secret}}, "cannot be told apart"},
           {{{.name = "a"}}, {{.key = "the-sec"}}, "expected 8 to 256"},
           {{{.name = "a"}}, {{.key = std::string(257, 'k')}}, "expected 8 to 256"},
           {{{.name = "a"}}, {{.key = secret}, {.key = secret}}, "twice"},
           {{{.name = "a"}}, {{.key = secret, .tenant = 1}}, "there is not"}}) {
    const Status status = Tenants::create(tenants, known, false).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << expected;
    EXPECT_NE(status.message().find(expected), std::string::npos) << status.message();
    EXPECT_EQ(status.message().find("the-sec"), std::string::npos) << status.message();
  }
}

}  // namespace
}  // namespace mooncake::serve
