#include "kvcache/cost_profile_json.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

namespace mooncake::kvcache {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kName = "name";

constexpr std::array<CostConstant, 11> kConstants = {{
    {"prefill_fixed_ms", &CostProfile::prefill_fixed_ms},
    {"prefill_ms_per_token", &CostProfile::prefill_ms_per_token},
    {"prefill_ms_per_token2", &CostProfile::prefill_ms_per_token2},
    {"load_fixed_ms", &CostProfile::load_fixed_ms},
    {"load_ms_per_token", &CostProfile::load_ms_per_token},
    {"step_fixed_ms", &CostProfile::step_fixed_ms},
    {"step_ms_per_sequence", &CostProfile::step_ms_per_sequence},
    {"step_ms_per_context_token", &CostProfile::step_ms_per_context_token},
    {"link_latency_ms", &CostProfile::link_latency_ms},
    {"link_bytes_per_ms", &CostProfile::link_bytes_per_ms},
    {"kv_bytes_per_token", &CostProfile::kv_bytes_per_token},
}};

Status wrong(const std::string& what) { return {Code::kInvalidArgument, what}; }

bool is_member(const std::string& key) {
  return key == kName ||
         std::ranges::any_of(kConstants, [&](const CostConstant& constant) { return key == constant.name; });
}

// Parses, and sees to it that every key is known and is there once. The library throws on what is no JSON, and on
// numbers that no double holds.
Result<Json> parse_members(std::string_view text) {
  std::set<std::string> keys;
  std::string last;
  std::string problem;
  const auto note = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event != Json::parse_event_t::key || depth != 1 || !problem.empty()) return true;
    last = parsed.get<std::string>();
    if (!is_member(last)) problem = fmt::format("\"{}\" is no member of a cost profile", last);
    if (!keys.insert(last).second) problem = fmt::format("\"{}\" is given twice", last);
    return true;
  };
  try {
    Json json = Json::parse(text, note);
    if (!json.is_object()) return wrong("a cost profile is a JSON object");
    if (!problem.empty()) return wrong(problem);
    return json;
  } catch (const Json::exception& error) {
    return wrong(last.empty() ? error.what() : fmt::format("at \"{}\": {}", last, error.what()));
  }
}

}  // namespace

std::span<const CostConstant> cost_constants() { return kConstants; }

std::string cost_profile_json(const CostProfile& profile) {
  Json json = {{kName, profile.name}};
  for (const CostConstant& constant : kConstants) json[constant.name] = profile.*constant.value;
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<CostProfile> parse_cost_profile(std::string_view text) {
  MC_ASSIGN_OR_RETURN(const Json json, parse_members(text));
  CostProfile profile;
  const auto name = json.find(kName);
  if (name == json.end() || !name->is_string() || name->get<std::string>().empty()) {
    return wrong("\"name\" is missing, or is no text");
  }
  profile.name = name->get<std::string>();
  for (const CostConstant& constant : kConstants) {
    const auto found = json.find(constant.name);
    if (found == json.end()) return wrong(fmt::format("\"{}\" is missing", constant.name));
    if (!found->is_number()) return wrong(fmt::format("\"{}\" must be a number", constant.name));
    const auto value = found->get<double>();
    if (!(value >= 0)) return wrong(fmt::format("\"{}\" must not be negative, and is {}", constant.name, value));
    profile.*constant.value = value;
  }
  if (profile.link_bytes_per_ms == 0) return wrong("\"link_bytes_per_ms\" must be above 0");
  return profile;
}

}  // namespace mooncake::kvcache
