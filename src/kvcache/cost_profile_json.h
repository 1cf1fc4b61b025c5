// The text of a cost profile: one JSON object with the members of CostProfile by their names, all of them and no
// others.
//
//   {"name": "smollm2-135m-instruct", "prefill_fixed_ms": 5.1, "prefill_ms_per_token": 1.8, ...}
//
// Pure: whoever knows of files reads and writes them.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "kvcache/cost_model.h"

namespace mooncake::kvcache {

/// One constant of a profile, by the name that its file and reports give it.
struct CostConstant {
  const char* name;
  double CostProfile::*value;
};

/// All of them, in the order of CostProfile. Lives as long as the program.
std::span<const CostConstant> cost_constants();

/// The profile as indented JSON, with a newline at the end. Numbers are such that they are read back unchanged; they
/// must be finite, as those of every profile that was fitted or read are.
std::string cost_profile_json(const CostProfile& profile);

/// Reads such a text.
/// @return kInvalidArgument, naming the member, for one that is missing, unknown, given twice, no number, negative or
/// not finite; for an empty name, a link that moves nothing, and what is not JSON.
Result<CostProfile> parse_cost_profile(std::string_view text);

}  // namespace mooncake::kvcache
