#include "kvcache/cost_profile_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mooncake::kvcache {
namespace {

using Json = nlohmann::json;

Json valid() { return Json::parse(cost_profile_json(*builtin_profile("smollm2-cpu"))); }

/// What is wrong with `text`; fails the test if nothing is.
std::string objection(const std::string& text) {
  const auto parsed = parse_cost_profile(text);
  EXPECT_FALSE(parsed.ok()) << text;
  if (parsed.ok()) return {};
  EXPECT_EQ(parsed.status().code(), Code::kInvalidArgument);
  return parsed.status().message();
}

TEST(CostProfileJson, BuiltinProfilesAreReadBackUnchanged) {
  for (const char* name : {"laptop", "smollm2-cpu", "llama3-70b@8xA800"}) {
    const std::string text = cost_profile_json(*builtin_profile(name));
    const auto parsed = parse_cost_profile(text);
    ASSERT_TRUE(parsed.ok()) << parsed.status().message();
    EXPECT_EQ(parsed->name, name);
    EXPECT_EQ(cost_profile_json(*parsed), text);
    EXPECT_EQ(parsed->prefill_ms_per_token2, builtin_profile(name)->prefill_ms_per_token2);
  }
}

TEST(CostProfileJson, EveryMemberIsRequired) {
  const Json whole = valid();
  ASSERT_EQ(whole.size(), 12u);
  for (const auto& [key, value] : whole.items()) {
    Json json = whole;
    json.erase(key);
    EXPECT_NE(objection(json.dump()).find('"' + key + '"'), std::string::npos) << key;
  }
}

TEST(CostProfileJson, WrongNumbersAreNamed) {
  const Json whole = valid();
  for (const auto& [key, value] : whole.items()) {
    if (key == "name") continue;
    for (const Json& bad : {Json(-0.5), Json("5"), Json(nullptr), Json::array()}) {
      Json json = whole;
      json[key] = bad;
      EXPECT_NE(objection(json.dump()).find('"' + key + '"'), std::string::npos) << key << bad;
    }
  }
  Json json = whole;
  json["link_bytes_per_ms"] = 0;
  EXPECT_NE(objection(json.dump()).find("link_bytes_per_ms"), std::string::npos);
  json = whole;
  json["name"] = "";
  EXPECT_NE(objection(json.dump()).find("name"), std::string::npos);
}

TEST(CostProfileJson, NumbersThatAreNotFiniteAreNamed) {
  for (const char* number : {"1e999", "NaN", "Infinity"}) {
    std::string text = valid().dump();
    const std::string key = "\"step_fixed_ms\":";
    const std::size_t start = text.find(key) + key.size();
    text.replace(start, text.find_first_of(",}", start) - start, number);
    EXPECT_NE(objection(text).find("step_fixed_ms"), std::string::npos) << number;
  }
}

TEST(CostProfileJson, UnknownAndRepeatedMembersAreNamed) {
  Json json = valid();
  json["prefill_ms_per_tokne"] = 1;
  EXPECT_NE(objection(json.dump()).find("\"prefill_ms_per_tokne\""), std::string::npos);
  std::string text = valid().dump();
  text.insert(1, R"("load_fixed_ms": 3, )");
  EXPECT_NE(objection(text).find("\"load_fixed_ms\" is given twice"), std::string::npos);
}

TEST(CostProfileJson, WhatIsNoObjectIsRefused) {
  for (const char* text : {"", "[]", "3", "{", "name = \"laptop\"", "\xff\xfe"}) EXPECT_FALSE(objection(text).empty());
}

}  // namespace
}  // namespace mooncake::kvcache
