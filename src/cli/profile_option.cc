#include "cli/profile_option.h"

#include <fmt/core.h>

#include "base/text_file.h"
#include "kvcache/cost_profile_json.h"

namespace mooncake::cli {
namespace {

constexpr std::string_view kSuffix = ".json";

Result<kvcache::CostProfile> read_profile(const std::string& path) {
  MC_ASSIGN_OR_RETURN(const std::string text, read_text_file(path, kProfileBytesMax, "cost profile"));
  auto profile = kvcache::parse_cost_profile(text);
  if (!profile.ok()) return profile.status().annotate(path);
  return profile;
}

}  // namespace

Result<kvcache::CostProfile> resolve_profile(const std::string& name_or_file) {
  if (name_or_file.ends_with(kSuffix)) return read_profile(name_or_file);
  auto profile = kvcache::builtin_profile(name_or_file);
  if (profile.ok()) return profile;
  return Status(profile.status().code(),
                fmt::format("{}, or the name of a file that ends in {}", profile.status().message(), kSuffix));
}

std::string_view default_profile_name(std::string_view engine) {
  return engine == "simulated" ? "laptop" : "smollm2-cpu";
}

Result<kvcache::CostProfile> resolve_profile(const std::string& name_or_file, std::string_view engine) {
  return resolve_profile(name_or_file.empty() ? std::string(default_profile_name(engine)) : name_or_file);
}

}  // namespace mooncake::cli
